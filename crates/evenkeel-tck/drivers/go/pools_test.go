package tck

import (
	"context"
	"strings"
	"testing"
	"time"
)

// A pool of one object, made by the first get, with what it leaves behind at its end.
func poolOfOne(leaves string) Adapter {
	return Adapter{Pools: Claims{}, Pool: func(s PoolSettings) (Pool, error) {
		idle, isMade := make(chan *Object, 1), false
		return Pool{
			Get: func(ctx context.Context) (lease Lease, err error) {
				if !isMade {
					isMade = true
					object, err := s.Backend.Create(ctx)
					if err != nil {
						return lease, err
					}
					idle <- object
				}
				select {
				case lease.Object = <-idle:
				case <-ctx.Done():
					return lease, ctx.Err()
				}
				if s.Checks {
					err = lease.Object.Check(ctx)
				}
				return leased(lease.Object, idle), err
			},
			Take: func() (lease Lease, isThere bool) {
				select {
				case object := <-idle:
					return leased(object, idle), true
				default:
					return lease, false
				}
			},
			Snapshot: func() Snapshot { return Snapshot{Idle: len(idle)} },
			Close: func() {
				if leaves == "a goroutine" {
					go func() { time.Sleep(2 * time.Hour) }()
				}
				if leaves != "an object" {
					(<-idle).Free()
				}
			},
		}, nil
	}}
}

// One that is broken is freed at its return.
func leased(object *Object, idle chan<- *Object) Lease {
	return Lease{Object: object, Discard: object.Free, Detach: func() {}, Release: func() {
		if object.IsBroken() {
			object.Free()
			return
		}
		idle <- object
	}}
}

const pooled = `{"turn":0,"at":0,"until":0,"messages":[{"do":"begin"},{"do":"pool","id":2,"settings":{"backend":1,"max":1,"acquire_timeout":null}},` +
	`{"do":"get","id":3,"pool":2},{"do":"start","id":3}]}`

func created(outcome string) string {
	return `{"turn":1,"at":0,"until":0,"messages":[{"do":"ended","backend":1,"step":1,"outcome":"` + outcome + `","kind":"single","says":"no"}]}`
}

// Steps, leases and the next caller, who is served, or cancelled on the way, or late.
func TestStepsAndLeasesAreTold(t *testing.T) {
	get := func(id, deadline string) string {
		return `{"do":"get","id":` + id + `,"pool":2,"deadline":` + deadline + `},{"do":"start","id":` + id + `}`
	}
	replies := playTo(t, poolOfOne(""), pooled, created("ok"),
		`{"turn":2,"at":0,"until":9,"messages":[`+get("4", "null")+`,`+get("5", "7")+`]}`,
		`{"turn":3,"at":7,"until":9,"messages":[{"do":"snapshot","id":6,"pool":2}]}`,
		`{"turn":4,"at":7,"until":9,"messages":[{"do":"return","id":3}]}`,
		`{"turn":5,"at":7,"until":9,"messages":[`+get("7", "null")+`]}`,
		`{"turn":6,"at":9,"until":9,"messages":[{"do":"return","id":4},{"do":"cancel","id":7}]}`,
		`{"turn":7,"at":9,"until":9,"messages":[`+get("8", "null")+`]}`,
		`{"turn":8,"at":9,"until":9,"messages":[{"do":"discard","id":8}]}`,
		`{"turn":9,"at":9,"until":9,"messages":[{"do":"end"}]}`,
	)
	expect(t, replies[:6], `0: configured 2, create 1`, `0: got 3`, `7: denied 5`, `7: snapshot 6`, `7: got 4`, `9`)
	if told := replies[6]; !strings.Contains(told, `"cancelled":true`) {
		t.Errorf("a caller that is cancelled on the way is told by %s", told)
	}
	expect(t, replies[7:], `9: got 8`, `9: free 1`, `9: failed`) // its end waits for an object that is gone
	if told := replies[3]; !strings.Contains(told, `"idle":0`) || !strings.Contains(told, `"waiting":null`) {
		t.Errorf("a snapshot is %s", told)
	}
}

// An idle object or none; a check that its get has let go; an object that its user has found broken.
func TestTakesChecksAndBrokenObjects(t *testing.T) {
	checked := strings.Replace(pooled, `"acquire_timeout":null`, `"checks":true`, 1)
	end := func(step string) string {
		return `{"do":"ended","backend":1,"step":` + step + `,"outcome":"ok"}`
	}
	expect(t, playTo(t, poolOfOne("an object"), checked, `{"turn":1,"at":0,"until":0,"messages":[`+end("1")+`]}`,
		`{"turn":2,"at":0,"until":0,"messages":[`+end("2")+`]}`,
		`{"turn":3,"at":0,"until":0,"messages":[{"do":"take","id":4,"pool":2},{"do":"return","id":3}]}`,
		`{"turn":4,"at":0,"until":0,"messages":[{"do":"take","id":5,"pool":2}]}`,
		`{"turn":5,"at":0,"until":0,"messages":[{"do":"return","id":5},{"do":"get","id":6,"pool":2,"deadline":5},{"do":"start","id":6}]}`,
		`{"turn":6,"at":0,"until":9,"messages":[]}`,
		`{"turn":7,"at":5,"until":9,"messages":[{"do":"break","backend":1,"object":1}]}`,
		`{"turn":8,"at":9,"until":9,"messages":[{"do":"end"}]}`,
	), `0: configured 2, create 1`, `0: check 1`, `0: got 3`, `0: none 4`, `0: got 5`, `0: check 1`, `5: dropped 1, denied 6`, `9`, `9: failed`)
	expect(t, playTo(t, poolOfOne("an object"), pooled, created("ok"),
		`{"turn":2,"at":0,"until":0,"messages":[{"do":"break","backend":1,"object":1},{"do":"return","id":3}]}`,
		`{"turn":3,"at":0,"until":0,"messages":[{"do":"end"}]}`), `0: configured 2, create 1`, `0: got 3`, `0: free 1`, `0`)
}

// A creation that is refused is told with its words.
func TestARefusalIsTold(t *testing.T) {
	replies := playTo(t, poolOfOne("an object"), pooled, created("error"), `{"turn":2,"at":0,"until":0,"messages":[{"do":"end"}]}`)
	if told := replies[1]; !strings.Contains(told, `"reason":"create","says":"no"`) {
		t.Errorf("a refusal is told by %s", told)
	}
}

// Objects and goroutines that are there an hour after the end are told.
func TestAPoolThatLeavesSomethingIsFound(t *testing.T) {
	for leaves, told := range map[string]string{
		"": `"events":[]`, "an object": "left alive an hour after the end: object 1", "a goroutine": "time.Sleep",
	} {
		replies := playTo(t, poolOfOne(leaves), pooled, created("ok"),
			`{"turn":2,"at":9,"until":9,"messages":[{"do":"return","id":3},{"do":"drop_pool","pool":2},{"do":"end"}]}`)
		if last := replies[2]; !strings.Contains(last, told) {
			t.Errorf("a pool that leaves %q behind is told by %s", leaves, last)
		}
	}
}
