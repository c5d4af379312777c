// github.com/jackc/puddle: the pool below pgxpool. A get has the deadline of its context.
package main

import (
	"context"
	"errors"

	tck "github.com/evenkeel/evenkeel/crates/evenkeel-tck/drivers/go"
	"github.com/jackc/puddle/v2"
)

const (
	none = "there is no such thing"
	pgx  = "pgxpool's, on `AcquireAllIdle`"
)

func lease(resource *puddle.Resource[*tck.Object]) tck.Lease {
	return tck.Lease{Object: resource.Value(), Release: resource.Release, Discard: resource.Destroy, Detach: resource.Hijack}
}

func pool(s tck.PoolSettings) (tck.Pool, error) {
	inner, err := puddle.NewPool(&puddle.Config[*tck.Object]{
		Constructor: s.Backend.Create, Destructor: (*tck.Object).Free, MaxSize: int32(s.Max),
	})
	return tck.Pool{
		Get: func(ctx context.Context) (tck.Lease, error) {
			if _, has := ctx.Deadline(); !has && s.AcquireTimeout != nil {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, *s.AcquireTimeout)
				defer cancel()
			}
			resource, err := inner.Acquire(ctx)
			// A close cancels the context of the constructor.
			if errors.Is(err, puddle.ErrClosedPool) || errors.Is(err, context.Canceled) && ctx.Err() == nil {
				return tck.Lease{}, tck.NoObject{Reason: "closed"}
			}
			if err != nil {
				return tck.Lease{}, err
			}
			return lease(resource), nil
		},
		Warm: func(ctx context.Context, objects int) error {
			for range objects {
				if err := inner.CreateResource(ctx); errors.Is(err, puddle.ErrNotAvailable) {
					return nil // the pool is full
				} else if err != nil {
					return err
				}
			}
			return nil
		},
		Retire: inner.Reset, Close: inner.Close,
		Snapshot: func() tck.Snapshot {
			stat := inner.Stat()
			return tck.Snapshot{Size: stat.TotalResources(), Idle: stat.IdleResources()}
		},
	}, err
}

func main() {
	tck.Serve(tck.Adapter{
		Library: "github.com/jackc/puddle", Version: tck.Version("github.com/jackc/puddle/v2"), Can: []string{"cancel"}, Pool: pool,
		Pools: tck.Claims{
			"create": true, "acquire time-out": true, "deadline": true, "discard": true, "detach": true, "LIFO": true, "warm": true,
			"retire all": true, "close": true, "close waits": true, "count objects": true,
			"try get": "`TryAcquire` creates one in the background if there is none", "create time-out": "that of the constructor",
			"check": pgx, "check time-out": pgx, "validate after": pgx, "idle time-out": pgx, "max lifetime": pgx, "min idle": pgx,
			"broken": "its user calls `Destroy`", "reset": none, "fatal errors": none, "max creating": none,
			"owned leases": "a pool ends by `Close`", "FIFO": none, "resize": none, "close deadline": none, "count waiters": none,
			"holders": none, "deadlocks": none,
		},
	})
}
