// golang.org/x/sync/errgroup: a Group with a context, of which all tasks take the end; without one where no failure stops the others.
package main

import (
	"context"
	"time"

	tck "github.com/evenkeel/evenkeel/crates/evenkeel-tck/drivers/go"
	"golang.org/x/sync/errgroup"
)

const none = "there is no such thing"

func group(s tck.GroupSettings) (tck.Group, error) {
	return func(ctx context.Context, body *tck.Body) error {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		if s.StopAfter != nil {
			defer time.AfterFunc(*s.StopAfter, stop).Stop()
		}
		if s.Deadline != nil {
			var end context.CancelFunc
			ctx, end = context.WithTimeout(ctx, *s.Deadline)
			defer end()
		}
		group := &errgroup.Group{}
		if s.OnFailure == nil || *s.OnFailure == "stop" {
			group, ctx = errgroup.WithContext(ctx)
		}
		if s.Limit != nil {
			group.SetLimit(*s.Limit)
		}
		var spawn func(*tck.Task)
		spawn = func(task *tck.Task) {
			group.Go(func() error { return task.Run(ctx, spawn) })
		}
		body.HandOut(spawn)
		failed := body.Run(ctx, spawn)
		if failed == nil || ctx.Err() != nil {
			return group.Wait()
		}
		// The body is the caller's own code.
		stop()
		_ = group.Wait()
		return failed
	}, nil
}

func main() {
	tck.Serve(tck.Adapter{
		Library: "golang.org/x/sync/errgroup", Version: tck.Version("golang.org/x/sync"), Can: []string{"cancel"}, Group: group,
		Task: tck.Claims{
			"body": true, "spawn from tasks": true, "handle": true, "errors": true, "fail fast": true, "collect all": true,
			"stop": true, "deadline": true, "limit": true,
			"grace": "the end of its context is the only signal", "reason": "`context.Cause` tells it where `WithCancelCause` is used",
			"names": none, "counts": none, "shield": "`context.WithoutCancel` leaves its work to nobody",
			"blocking": "every goroutine may block", "blocking signal": none,
		},
	})
}
