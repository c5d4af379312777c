// signal.NotifyContext, with an errgroup for the tasks: its stop ends the context, of which all of them take the end.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"

	tck "github.com/evenkeel/evenkeel/crates/evenkeel-tck/drivers/go"
	"golang.org/x/sync/errgroup"
)

const none = "there is no such thing"

func program(s tck.ProgramSettings) (tck.Program, error) {
	return func(ctx context.Context, parts *tck.Parts) error {
		if err := parts.StartUp(ctx); err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
		defer stop()
		if s.StopAfter != nil {
			defer time.AfterFunc(*s.StopAfter, stop).Stop()
		}
		group, ctx := errgroup.WithContext(ctx)
		var start func(*tck.Task)
		start = func(task *tck.Task) {
			group.Go(func() error { return task.Drain(ctx, start) })
		}
		for _, task := range parts.Tasks {
			start(task)
		}
		failed := group.Wait()
		for _, cleanUp := range slices.Backward(parts.CleanUps) {
			failed = errors.Join(failed, cleanUp.Run(context.Background(), nil))
		}
		return failed
	}, nil
}

func main() {
	tck.Serve(tck.Adapter{
		Library: "signal.NotifyContext", Version: strings.TrimPrefix(runtime.Version(), "go"), Program: program,
		Shutdown: tck.Claims{
			"tasks": true, "ends by itself": true, "errors": true, "start": true, "clean-ups": true, "fail fast": true,
			"signals": "none reaches a bubble of `testing/synctest`", "grace": "a goroutine cannot be cut",
			"again": "a context ends once", "vital": none, "hung": none, "exit code": "the program's own",
			"reason": "`context.Cause` tells the signal", "phases": none, "pre-stop": none, "readiness": none, "guards": none,
			"stop alone": none,
		},
	})
}
