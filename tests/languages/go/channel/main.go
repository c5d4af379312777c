// A channel: its producers send, and the last of them closes it.
package main

import (
	"context"
	"runtime"
	"strings"

	tck "github.com/evenkeel/evenkeel/crates/evenkeel-tck/drivers/go"
)

const none = "a channel is a queue alone"

func queue(capacity int) (tck.Queue, error) {
	channel := make(chan tck.Item, capacity)
	return tck.Queue{
		Push: func(ctx context.Context, item tck.Item) error {
			select {
			case channel <- item:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
		Pop: func(ctx context.Context) (tck.Item, error) {
			select {
			case item, isOpen := <-channel:
				if !isOpen {
					return item, tck.ErrOver
				}
				return item, nil
			case <-ctx.Done():
				return tck.Item{}, ctx.Err()
			}
		},
		End: func() { close(channel) },
	}, nil
}

func main() {
	tck.Serve(tck.Adapter{
		Library: "channels", Version: strings.TrimPrefix(runtime.Version(), "go"), Can: []string{"cancel"}, Queue: queue,
		Stream: tck.Claims{
			"queue": true, "pop": true, "several consumers": true, "end with producers": true,
			"end with consumers": "a channel does not know its consumers", "close": "a send on a channel that is closed panics",
			"close now": "a send on a channel that is closed panics", "join": "`sync.WaitGroup` beside it",
			"hand back": none, "queue weight": none, "workers": none, "map": none, "ordered results": none, "unordered results": none,
			"fail fast": none, "collect all": none, "source errors": none, "panics as results": none, "parallel": none, "stream": none,
			"keys": none, "batch": none, "batch time": none, "batch weight": none, "batch until": none, "batch rest": none,
			"merge": none, "add sources": none, "pages": none, "prefetch": none, "generate": none,
		},
	})
}
