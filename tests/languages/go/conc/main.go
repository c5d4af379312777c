// github.com/sourcegraph/conc: a pool of goroutines with a context, which is cancelled by an error.
package main

import (
	"context"
	"time"

	tck "github.com/evenkeel/evenkeel/crates/evenkeel-tck/drivers/go"
	"github.com/sourcegraph/conc/panics"
	"github.com/sourcegraph/conc/pool"
)

const none = "there is no such thing"

func group(s tck.GroupSettings) (tck.Group, error) {
	if s.Limit != nil {
		pool.New().WithMaxGoroutines(*s.Limit) // it panics if that is no number
	}
	return func(ctx context.Context, body *tck.Body) (err error) {
		// A panic of a task goes on in `Wait`, with another value.
		defer func() {
			why := recover()
			if panicked, isOfTask := why.(*panics.Recovered); isOfTask {
				err = panicked.AsError()
			} else if why != nil {
				panic(why)
			}
		}()
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
		group := pool.New().WithContext(ctx)
		if s.OnFailure != nil && *s.OnFailure == "stop" {
			group = group.WithCancelOnError()
		}
		if s.Limit != nil {
			group = group.WithMaxGoroutines(*s.Limit)
		}
		failed := body.Run(ctx, func(task *tck.Task) {
			group.Go(func(ctx context.Context) error { return task.Run(ctx, nil) })
		})
		if failed != nil {
			// The body is the caller's own code.
			stop()
		}
		if err := group.Wait(); failed == nil || ctx.Err() != nil && context.Cause(ctx) == failed {
			return err
		}
		return failed
	}, nil
}

func main() {
	tck.Serve(tck.Adapter{
		Library: "github.com/sourcegraph/conc", Version: tck.Version("github.com/sourcegraph/conc"), Can: []string{"cancel"}, Group: group,
		Task: tck.Claims{
			"body": true, "errors": true, "fail fast": true, "collect all": true, "stop": true,
			"deadline": true, "limit": true,
			"spawn from tasks": "a `Go` while `Wait` runs panics", "handle": "a `Go` while `Wait` runs panics",
			"grace": "the end of its context is the only signal", "reason": none, "names": none, "counts": none, "shield": none,
			"blocking": "every goroutine may block", "blocking signal": none,
		},
	})
}
