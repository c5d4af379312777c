// golang.org/x/time/rate: a Limiter, whose WaitN takes a context.
package main

import (
	"context"
	"errors"
	"strings"
	"time"

	tck "github.com/evenkeel/evenkeel/crates/evenkeel-tck/drivers/go"
	"golang.org/x/time/rate"
)

const none = "there is no such thing"

func limitOf(r tck.Rate) rate.Limit {
	return rate.Limit(float64(r.Permits) / r.Per.Seconds())
}

func limiter(s tck.LimitSettings) (tck.Limiter, error) {
	if s.Limit.Kind != "bucket" || s.Also != nil {
		return tck.Limiter{}, tck.NotExpressible("another limit than a bucket")
	}
	inner := rate.NewLimiter(limitOf(s.Limit.Rate), s.Limit.Burst)
	return tck.Limiter{
		Try: func(r tck.Request) (func(), error) {
			if inner.AllowN(time.Now(), r.Permits) {
				return nil, nil
			}
			return nil, tck.Denied{Reason: "busy"}
		},
		Acquire: func(ctx context.Context, r tck.Request) (func(), error) {
			err := inner.WaitN(ctx, r.Permits)
			switch {
			case err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
				return nil, err
			// Its errors are texts.
			case strings.Contains(err.Error(), "deadline"):
				return nil, tck.Denied{Reason: "deadline"}
			default:
				return nil, tck.Denied{Reason: "never fits"}
			}
		},
		Change: func(c tck.Change) {
			switch {
			case c.Rate != nil:
				inner.SetLimit(limitOf(*c.Rate))
			case c.Burst != nil:
				inner.SetBurst(*c.Burst)
			}
		},
	}, nil
}

func main() {
	tck.Serve(tck.Adapter{
		Library: "golang.org/x/time/rate", Version: tck.Version("golang.org/x/time"), Can: []string{"cancel"}, Limiter: limiter,
		Limit: tck.Claims{
			"rate": true, "try": true, "wait": true, "mixed": true, "weights": true, "burst": true, "deadline": true,
			"set rate": true, "set burst": true,
			"retry after": "`ReserveN` tells a delay, and takes the permits", "never fits": "`AllowN` returns a bool",
			"refund": "a `Reservation` is cancelled before its time alone", "reserve": none, "concurrency": none, "start empty": none,
			"sliding": none, "max waiters": none, "set limit": none, "penalty": none, "close": none, "keys": none,
			"count keys": none, "max keys": none, "all of": none,
		},
	})
}
