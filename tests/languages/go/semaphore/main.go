// golang.org/x/sync/semaphore: a Weighted, whose Acquire takes a context.
package main

import (
	"context"

	tck "github.com/evenkeel/evenkeel/crates/evenkeel-tck/drivers/go"
	"golang.org/x/sync/semaphore"
)

const none = "there is no such thing"

func limiter(s tck.LimitSettings) (tck.Limiter, error) {
	if s.Limit.Kind != "concurrency" || s.Also != nil {
		return tck.Limiter{}, tck.NotExpressible("a rate")
	}
	inner := semaphore.NewWeighted(int64(s.Limit.Limit))
	return tck.Limiter{
		Try: func(r tck.Request) (func(), error) {
			if inner.TryAcquire(int64(r.Permits)) {
				return func() { inner.Release(int64(r.Permits)) }, nil
			}
			return nil, tck.Denied{Reason: "busy"}
		},
		Acquire: func(ctx context.Context, r tck.Request) (func(), error) {
			if err := inner.Acquire(ctx, int64(r.Permits)); err != nil {
				return nil, err
			}
			return func() { inner.Release(int64(r.Permits)) }, nil
		},
	}, nil
}

func main() {
	tck.Serve(tck.Adapter{
		Library: "golang.org/x/sync/semaphore", Version: tck.Version("golang.org/x/sync"), Can: []string{"cancel"}, Limiter: limiter,
		Limit: tck.Claims{
			"concurrency": true, "try": true, "wait": true, "mixed": true, "weights": true, "deadline": true,
			"never fits": "`TryAcquire` returns a bool", "rate": none, "burst": none, "start empty": none, "sliding": none,
			"retry after": none, "max waiters": none, "set rate": none, "set burst": none, "set limit": "its size is fixed",
			"refund": none, "reserve": none, "penalty": none, "close": none, "keys": none, "count keys": none, "max keys": none,
			"all of": none,
		},
	})
}
