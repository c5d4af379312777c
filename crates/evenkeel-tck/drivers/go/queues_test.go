package tck

import (
	"context"
	"errors"
	"testing"
)

// A queue of two consumers, whose end is counted.
func twoEnds(ends *int) Adapter {
	return Adapter{Stream: Claims{}, Queue: func(capacity int) (Queue, error) {
		items := make(chan Item, capacity)
		return Queue{
			Push: func(_ context.Context, item Item) error { items <- item; return nil },
			Pop: func(ctx context.Context) (Item, error) {
				select {
				case item, isOpen := <-items:
					if !isOpen {
						return item, ErrOver
					}
					return item, nil
				case <-ctx.Done():
					return Item{}, errors.New("it is cancelled")
				}
			},
			End: func() { *ends++; close(items) },
		}, nil
	}}
}

// A consumer that is gone ends nothing, and the last producer ends the queue.
func TestAConsumerThatIsGoneIsNotTheLastProducer(t *testing.T) {
	ends := 0
	expect(t, playTo(t, twoEnds(&ends),
		`{"turn":0,"at":0,"until":0,"messages":[{"do":"begin"},{"do":"operator","id":1,"settings":{"kind":"queue","capacity":2}},`+
			`{"do":"queue","id":2,"operator":1,"consumer":3},{"do":"consumer","id":4,"of":3},{"do":"drop","id":3}]}`,
		`{"turn":1,"at":0,"until":5,"messages":[{"do":"push","id":5,"queue":2,"item":{"id":11,"number":1}},{"do":"start","id":5}]}`,
		`{"turn":2,"at":0,"until":5,"messages":[{"do":"pop","id":6,"consumer":4},{"do":"start","id":6}]}`,
		`{"turn":3,"at":0,"until":5,"messages":[{"do":"pop","id":7,"consumer":4},{"do":"start","id":7}]}`,
		`{"turn":4,"at":5,"until":5,"messages":[{"do":"cancel","id":7},{"do":"drop","id":4}]}`,
		`{"turn":5,"at":5,"until":5,"messages":[{"do":"drop","id":2}]}`,
		`{"turn":6,"at":5,"until":5,"messages":[{"do":"end"}]}`,
	), `0: configured 1, configured 2`, `0: pushed 5`, `0: popped 6`, `5`, `5: end 7`, `5`, `5`)
	if ends != 1 {
		t.Errorf("the queue was ended %d times", ends)
	}
}
