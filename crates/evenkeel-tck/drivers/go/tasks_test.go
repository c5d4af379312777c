package tck

import (
	"context"
	"strings"
	"sync"
	"testing"
)

const begun = `{"turn":0,"at":0,"until":0,"messages":[{"do":"begin"},{"do":"group","id":1,"settings":{}},{"do":"run","id":2,"group":1},` +
	`{"do":"start","id":2},{"do":"spawn","id":3,"task":1,"run":2,"by":2},{"do":"spawn","id":4,"task":2,"run":2,"by":2}]}`

// A group that waits for its tasks, or does not.
func group(waits bool) Adapter {
	return Adapter{Task: Claims{}, Group: func(GroupSettings) (Group, error) {
		return func(ctx context.Context, body *Body) (first error) {
			var tasks sync.WaitGroup
			var once sync.Once
			err := body.Run(ctx, func(task *Task) {
				tasks.Go(func() {
					if err := task.Run(ctx, nil); err != nil {
						once.Do(func() { first = err })
					}
				})
			})
			if waits {
				tasks.Wait()
			}
			if err != nil {
				return err
			}
			return first
		}, nil
	}}
}

// A task ends by its result, and all results of one instant are there before one of them has an effect.
func TestTasksCarryOutOrders(t *testing.T) {
	expectInAnyOrder(t, playTo(t, group(true), begun,
		`{"turn":1,"at":5,"until":5,"messages":[{"do":"results","of":[{"id":2,"outcome":"ok"},{"id":4,"outcome":"error"}]}]}`,
		`{"turn":2,"at":6,"until":6,"messages":[{"do":"results","of":[{"id":3,"outcome":"ok"}]},{"do":"spawn","id":5,"task":3,"run":2,"by":2}]}`,
		`{"turn":3,"at":7,"until":7,"messages":[{"do":"end"}]}`,
	), `0: configured 1, began 2, began 3, began 4`, `5: ended 2, ended 4`, `6: ended 3, end 2, dropped 5`, `7`)
}

// A task that is cancelled is dropped, and so is the body.
func TestACancelDropsTheTasks(t *testing.T) {
	replies := playTo(t, group(true), begun, `{"turn":1,"at":5,"until":5,"messages":[{"do":"cancel","id":2}]}`,
		`{"turn":2,"at":6,"until":6,"messages":[{"do":"end"}]}`)
	if told := replies[1]; strings.Count(told, "dropped") != 3 || !strings.Contains(told, `"cancelled":true`) {
		t.Errorf("a cancel is answered by %s", told)
	}
}

// A task that its group has left alive is told at the end of the rule.
func TestATaskLeftAliveIsFound(t *testing.T) {
	expectInAnyOrder(t, playTo(t, group(false), begun,
		`{"turn":1,"at":5,"until":5,"messages":[{"do":"results","of":[{"id":2,"outcome":"ok"},{"id":4,"outcome":"ok"}]}]}`,
		`{"turn":2,"at":6,"until":6,"messages":[{"do":"end"}]}`,
	), `0: configured 1, began 2, began 3, began 4`, `5: ended 2, ended 4, end 2`, `6: failed`)
}
