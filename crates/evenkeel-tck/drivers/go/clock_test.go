package tck

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The clock is exact to the nanosecond: after many sleeps, and for timers that are one nanosecond apart.
func TestTheClockIsExactToTheNanosecond(t *testing.T) {
	for _, one := range []struct {
		sleeps int
		time   time.Duration
	}{{10_000, 100 * time.Millisecond}, {100_000, time.Millisecond}, {10_080, 60_100 * time.Millisecond}, {1000, 1}, {2, latest / 2}} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			for range one.sleeps {
				time.Sleep(one.time)
			}
			if off := time.Since(begun) - time.Duration(one.sleeps)*one.time; off != 0 {
				t.Errorf("%d sleeps of %v are %v off", one.sleeps, one.time, off)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		var order []int
		for _, i := range []int{3, 1, 4, 2, 5} {
			time.AfterFunc(time.Duration(i), func() { order = append(order, i) })
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if fmt.Sprint(order) != "[1 2 3 4 5]" {
			t.Errorf("timers one nanosecond apart fire in the order %v", order)
		}
	})
}

// A permit for each call in the library's own time; the first request of a limiter leaves a goroutine, if Waits is false.
func sleeper(s LimitSettings) (Limiter, error) {
	if s.Limit.Kind == "sliding" {
		return Limiter{}, NotExpressible("a window")
	}
	stop := make(chan struct{})
	if s.Waits {
		close(stop)
	}
	return Limiter{Acquire: func(ctx context.Context, r Request) (func(), error) {
		go func() { <-stop }()
		select {
		case <-time.After(s.Limit.Per):
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}, nil
}

// Plays turns, and returns the replies.
func play(t *testing.T, turns ...string) []string {
	return playTo(t, Adapter{Limit: Claims{}, Limiter: sleeper}, turns...)
}

func playTo(t *testing.T, adapter Adapter, turns ...string) []string {
	var out strings.Builder
	in := strings.NewReader(strings.Join(turns, "\n") + "\n")
	s := server{adapter, bufio.NewReader(in), &out}
	s.run(t)
	return strings.Split(strings.TrimSpace(out.String()), "\n")
}

func limiter(id int, per time.Duration, waits bool) string {
	return fmt.Sprintf(`{"do":"limiter","id":%d,"settings":{"limit":{"kind":"bucket","per":%d},"waits":%v}}`, id, per, waits)
}

// Each turn is answered by exactly these events, which are "name id", in this order.
func expect(t *testing.T, replies []string, wanted ...string) {
	t.Helper()
	answers(t, replies, wanted, func([]string) {})
}

// As expect, for goroutines that wake at one instant: the order of the events of a turn is open.
func expectInAnyOrder(t *testing.T, replies []string, wanted ...string) {
	t.Helper()
	answers(t, replies, wanted, slices.Sort[[]string])
}

func answers(t *testing.T, replies, wanted []string, order func([]string)) {
	t.Helper()
	if len(replies) != len(wanted) {
		t.Fatalf("%d replies, and not %d: %v", len(replies), len(wanted), replies)
	}
	for i, one := range wanted {
		var reply struct {
			At     json.RawMessage
			Events []map[string]any
		}
		must(json.Unmarshal([]byte(replies[i]), &reply))
		told := []string{}
		for _, event := range reply.Events {
			name := fmt.Sprint(event["event"])
			if id, has := event["id"]; has {
				name += fmt.Sprintf(" %v", id)
			}
			told = append(told, name)
		}
		at, list, _ := strings.Cut(one, ": ")
		want := []string{}
		if list != "" {
			want = strings.Split(list, ", ")
		}
		order(told)
		order(want)
		if string(reply.At) != at || !slices.Equal(told, want) {
			t.Errorf("turn %d is answered at %s by %q, and not at %s by %q: %s", i, reply.At, told, at, want, replies[i])
		}
	}
}

// A turn ends with its first event, or at its end; a time is text from 2^53 on.
func TestATurnEndsWhenSomethingHappens(t *testing.T) {
	ask := func(id, limiter int) string {
		return fmt.Sprintf(`{"do":"acquire","id":%d,"limiter":%d,"permits":1},{"do":"start","id":%[1]d}`, id, limiter)
	}
	const year = 365 * 24 * time.Hour
	expect(t, play(t,
		`{"turn":0,"at":0,"until":0,"messages":[{"do":"begin"},`+limiter(1, 7, true)+`,`+limiter(2, 100*year, true)+`]}`,
		`{"turn":1,"at":0,"until":5,"messages":[`+ask(3, 1)+`,`+ask(4, 2)+`]}`,
		`{"turn":2,"at":5,"until":100,"messages":[]}`,
		`{"turn":3,"at":50,"until":60,"messages":[`+ask(5, 1)+`]}`,
		`{"turn":4,"at":57,"until":58,"messages":[{"do":"sing"}]}`,
		`{"turn":5,"at":58,"until":"9007199254740993","messages":[`+ask(6, 2)+`]}`,
		`{"turn":6,"at":"9007199254740993","until":"99999999999999999999999","messages":[{"do":"cancel","id":6}]}`,
		`{"turn":7,"at":"9007199254740993","until":"99999999999999999999999","messages":[]}`,
		`{"turn":8,"at":"99999999999999999999999","until":"99999999999999999999999","messages":[{"do":"end"}]}`,
		`{"turn":9,"at":0,"until":0,"messages":[{"do":"begin"},{"do":"limiter","id":1,"settings":{"limit":{"kind":"sliding"}}}]}`,
		`{"turn":10,"at":0,"until":0,"messages":[{"do":"end"}]}`,
	), `0: configured 1, configured 2`, `5`, `7: granted 3`, `57: granted 5`, `57: broken`, `"9007199254740993"`,
		`"9007199254740993": end 6`, `"3153600000000000000": granted 4`, `"99999999999999999999999"`, `0: not expressible 1`, `0`)
}

// A goroutine that is left at the end of a rule is told, and does not harm the next rule.
func TestALeakIsFound(t *testing.T) {
	turns := func(waits bool) []string {
		return []string{
			`{"turn":0,"at":0,"until":0,"messages":[{"do":"begin"},` + limiter(1, time.Hour, waits) + `,{"do":"acquire","id":2,"limiter":1,"permits":1}]}`,
			`{"turn":1,"at":0,"until":9,"messages":[{"do":"start","id":2}]}`, `{"turn":2,"at":9,"until":9,"messages":[{"do":"end"}]}`,
		}
	}
	expect(t, play(t, append(turns(false), turns(true)...)...), `0: configured 1`, `9`, `9: failed`, `0: configured 1`, `9`, `9`)
	replies := play(t, turns(false)...)
	if told := replies[2]; !strings.Contains(told, "sleeper") || strings.Count(told, "synctest bubble") != 1 {
		t.Errorf("it is not said what was left: %s", told)
	}
}

// A library refuses settings by an error or by any panic; an adapter that divides by zero has not asked it.
func TestAnErrorOfTheRuntimeInTheAdapterIsNoRefusal(t *testing.T) {
	rateOfZero := limiter(1, 7, true) // without permits
	const broken, refused = `"event":"broken","says":"the adapter fails at these settings: `, `"event":"refused","id":1,"says":"`
	var missing map[string]int
	for told, configure := range map[string]func(LimitSettings) error{
		broken + `runtime error: integer divide by zero"`: func(s LimitSettings) error {
			return fmt.Errorf("%v", s.Limit.Per/time.Duration(s.Limit.Permits))
		},
		broken + `assignment to entry in nil map"`: func(LimitSettings) error { missing["rate"] = 1; return nil },
		refused + `panic: runtime error: index out of range`: func(s LimitSettings) error {
			return fmt.Errorf("%v", binary.BigEndian.Uint16(make([]byte, s.Limit.Permits)))
		},
		refused + `panic: no rate"`: func(LimitSettings) error { panic("no rate") },
		refused + `no rate"`:        func(LimitSettings) error { return errors.New("no rate") },
	} {
		replies := playTo(t, Adapter{Limit: Claims{}, Limiter: func(s LimitSettings) (Limiter, error) { return Limiter{}, configure(s) }},
			`{"turn":0,"at":0,"until":0,"messages":[{"do":"begin"},`+rateOfZero+`]}`, `{"turn":1,"at":0,"until":0,"messages":[{"do":"end"}]}`)
		if !strings.Contains(replies[0], told) {
			t.Errorf("%s, and not %s", replies[0], told)
		}
	}
}
