// Package tck puts a Go library to the rules of evenkeel-tck: the virtual clock and the protocol, so that an adapter is a few lines.
//
// One file on purpose, long as it is: it is copied beside the adapter.
//
//	func main() {
//		tck.Serve(tck.Adapter{
//			Library: "golang.org/x/time/rate", Version: tck.Version("golang.org/x/time"), Can: []string{"cancel"},
//			Limit: tck.Claims{"rate": true, "try": true, "wait": true, "burst": true, "weights": "not in this example"},
//			Limiter: func(s tck.LimitSettings) (tck.Limiter, error) {
//				// Permits may be 0, which is for the library to refuse.
//				perSecond := rate.Limit(float64(s.Limit.Permits) / s.Limit.Per.Seconds())
//				limiter := rate.NewLimiter(perSecond, s.Limit.Burst)
//				return tck.Limiter{
//					Acquire: func(ctx context.Context, r tck.Request) (func(), error) { return nil, limiter.WaitN(ctx, r.Permits) },
//					Try: func(r tck.Request) (func(), error) {
//						if !limiter.AllowN(time.Now(), r.Permits) {
//							return nil, tck.Denied{Reason: "busy"}
//						}
//						return nil, nil
//					},
//				}, nil
//			},
//		})
//	}
//
// A rule runs in a bubble of testing/synctest, whose clock is exact to the nanosecond for 250 years, and then stands still: time.Now,
// timers and the deadlines of contexts go by it. The bubble fires all timers of one time together, so that those of the library are not
// behind those of the suite, and no timer is ever late. A goroutine that is left at the end of a rule is a fault of the library. Go 1.25 and
// newer; nothing else is needed.
//
// A mutex does not count as a wait: a library that holds one for a virtual time stops the clock, and the suite says that it hangs.
package tck

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Claims are the capabilities of a library, by their names: each is true, or the reason for which there is none.
type Claims map[string]any

// Adapter is everything that the suite is told of a library. Can has the features of the runtime: "cancel", if the library takes contexts.
type Adapter struct {
	Library, Version string
	Can              []string
	Limit            Claims
	Limiter          func(LimitSettings) (Limiter, error)
	Retry            Claims
	Policy           func(RetrySettings) (Policy, error)
	Stream           Claims
	Queue            func(capacity int) (Queue, error)
	Task             Claims
	Group            func(GroupSettings) (Group, error)
	Shutdown         Claims
	Program          func(ProgramSettings) (Program, error)
	Pools            Claims
	Pool             func(PoolSettings) (Pool, error)
}

// NotExpressible is the error of settings for which the library has no words; the text names them.
type NotExpressible string

func (e NotExpressible) Error() string { return string(e) }

// Version is that of a module that this program was built with.
func Version(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, known := range info.Deps {
		if known.Path == module {
			return strings.TrimPrefix(known.Version, "v")
		}
	}
	return "unknown"
}

// Serve answers the suite until it closes the input. What the library prints to os.Stdout goes to the errors.
func Serve(adapter Adapter) {
	// With one processor, what runs at one time runs in the same order each time.
	runtime.GOMAXPROCS(1)
	if adapter.Program != nil {
		// What the runtime makes for the first of them must not be of a bubble.
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, os.Interrupt)
		signal.Stop(signals)
	}
	s := server{adapter, bufio.NewReader(os.Stdin), os.Stdout}
	os.Stdout = os.Stderr
	// A bubble needs a test.
	match := func(string, string) (bool, error) { return true, nil }
	test := func(t *testing.T) {
		s.run(t)
		os.Exit(0)
	}
	testing.Main(match, []testing.InternalTest{{Name: "adapter", F: test}}, nil, nil)
}

type server struct {
	adapter Adapter
	in      *bufio.Reader
	out     io.Writer
}

// A turn of the suite.
type turn struct {
	Turn      int
	At, Until time.Duration
	Messages  []json.RawMessage
	// How the suite has written the end: a reply without an event has it, too.
	end json.RawMessage
}

// Numbers from 2^53 on are text.
var wide = regexp.MustCompile(`"\d{16,}"`)

func (s *server) read() (line turn, isThere bool) {
	text, err := s.in.ReadBytes('\n')
	if err != nil {
		return line, false
	}
	var raw struct{ Until json.RawMessage }
	must(json.Unmarshal(text, &raw))
	must(json.Unmarshal(wide.ReplaceAllFunc(text, func(number []byte) []byte {
		// What is out of range becomes the largest number.
		nanos, _ := strconv.ParseInt(string(number[1:len(number)-1]), 10, 64)
		return strconv.AppendInt(nil, nanos, 10)
	}), &line))
	line.end = raw.Until
	return line, true
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// An event: its name is the member "event".
type event map[string]any

func (s *server) reply(line turn, at any, events []event) {
	if events == nil {
		events = []event{}
	}
	text, err := json.Marshal(map[string]any{"turn": line.Turn, "at": at, "events": events})
	must(err)
	_, err = s.out.Write(append(text, '\n'))
	must(err)
}

func (s *server) run(t *testing.T) {
	for line, isThere := s.read(); isThere; line, isThere = s.read() {
		first := ""
		if len(line.Messages) > 0 {
			first = nameOf(line.Messages[0])
		}
		switch first {
		case "hello":
			s.reply(line, line.end, []event{s.hello()})
		case "begin":
			last, left := s.rule(t, line)
			s.reply(last, last.end, left)
		default:
			s.reply(line, line.end, []event{{"event": "broken", "says": "no rule has begun"}})
		}
	}
}

func (s *server) hello() event {
	a := s.adapter
	hello := event{"event": "hello", "protocol": 1, "library": a.Library, "version": a.Version, "can": a.Can}
	hello["runtime"] = "Go " + strings.TrimPrefix(runtime.Version(), "go")
	for pattern, claims := range map[string]Claims{"limit": a.Limit, "retry": a.Retry, "stream": a.Stream, "task": a.Task, "shutdown": a.Shutdown, "pool": a.Pools} {
		if claims != nil {
			hello[pattern] = claims
		}
	}
	return hello
}

// Plays one rule in a bubble, and returns its last turn with the events of that.
func (s *server) rule(t *testing.T, line turn) (last turn, left []event) {
	defer func() {
		// Goroutines that are left are a panic of the bubble, here.
		if why := recover(); why != nil {
			left = []event{{"event": "failed", "says": fmt.Sprintf("%v: %s", why, goroutines())}}
		}
	}()
	synctest.Test(t, func(*testing.T) {
		r := newRule(s.adapter)
		defer r.stop()
		for isThere := true; isThere; line, isThere = s.read() {
			last = line
			at, events := r.play(line)
			if r.isOver {
				left = events
				return
			}
			s.reply(line, at, events)
		}
		os.Exit(0)
	})
	return last, left
}

// The goroutines that the last bubble has left, each with its state and its function.
func goroutines() string {
	text := make([]byte, 1<<20)
	text = text[:runtime.Stack(text, true)]
	var left []string
	bubble := 0
	for _, one := range strings.Split(string(text), "\n\n") {
		state, stack, _ := strings.Cut(one, "\n")
		_, number, _ := strings.Cut(state, "synctest bubble ")
		number, _, _ = strings.Cut(number, "]")
		of, _ := strconv.Atoi(strings.Split(number, ",")[0])
		if of > bubble {
			bubble, left = of, nil
		}
		if of == bubble && of > 0 {
			function, _, _ := strings.Cut(stack, "\n")
			left = append(left, state+" "+function)
		}
	}
	return strings.Join(left, "; ")
}

// Rule is everything that one rule has made.
type rule struct {
	adapter  Adapter
	begun    time.Time
	ctx      context.Context
	stop     context.CancelFunc
	happened chan struct{}
	isOver   bool
	// What a request begins with, before it is awaited.
	pending map[int]func(context.Context)
	cancels map[int]context.CancelFunc
	// What several goroutines write.
	lock      sync.Mutex
	events    []event
	cancelled map[int]bool
	limits
	retries
	queues
	groups
	programs map[int]Program
	pools
}

func newRule(adapter Adapter) *rule {
	r := &rule{adapter: adapter, begun: time.Now(), happened: make(chan struct{}, 1)}
	r.ctx, r.stop = context.WithCancel(context.Background())
	r.pending, r.cancels, r.cancelled = map[int]func(context.Context){}, map[int]context.CancelFunc{}, map[int]bool{}
	r.limits = limits{limiters: map[int]Limiter{}, held: map[int]func(int){}}
	r.retries = retries{map[int]Policy{}, map[int]*Operation{}}
	r.queues = queues{map[int]int{}, map[int]Queue{}, map[int]Queue{}}
	r.groups = groups{groups: map[int]Group{}, probes: map[int]*probe{}, bodies: map[int]*Body{}, nested: map[int]int{}}
	r.programs = map[int]Program{}
	r.pools = pools{pools: map[int]Pool{}, backends: map[int]*Backend{}, leases: map[int]Lease{}}
	return r
}

func (r *rule) say(name string, members event) {
	r.lock.Lock()
	defer r.lock.Unlock()
	members["event"] = name
	r.events = append(r.events, members)
	select {
	case r.happened <- struct{}{}:
	default:
	}
}

func (r *rule) take() (events []event) {
	r.lock.Lock()
	defer r.lock.Unlock()
	events, r.events = r.events, nil
	return events
}

// Beyond it, times of 64 bits have no nanoseconds left.
const latest = 250 * 365 * 24 * time.Hour

// The time that is left until then.
func (r *rule) left(until time.Duration) time.Duration {
	return min(until, latest) - time.Since(r.begun)
}

// Plays a turn: the time at its end, and its events.
func (r *rule) play(line turn) (any, []event) {
	if wait := r.left(line.At); wait > 0 {
		time.Sleep(wait)
		synctest.Wait()
	}
	last := ""
	for _, message := range line.Messages {
		// Goroutines that are woken at one time run in an order of the runtime's own: the last one first.
		if last == "return" && nameOf(message) == "return" {
			synctest.Wait()
		}
		last = nameOf(message)
		r.do(message)
		if r.isOver {
			return nil, slices.DeleteFunc(r.take(), func(one event) bool { return one["event"] != "failed" })
		}
		if !slices.Contains(atOnce, last) {
			synctest.Wait()
		}
	}
	synctest.Wait()
	if events := r.take(); len(events) > 0 {
		return nanos(time.Since(r.begun)), events
	}
	select {
	case <-r.happened:
	default:
	}
	if wait := r.left(line.Until); wait > 0 {
		timer := time.NewTimer(wait)
		select {
		case <-r.happened:
		case <-timer.C:
		}
		timer.Stop()
		synctest.Wait()
	}
	if events := r.take(); len(events) > 0 {
		return nanos(time.Since(r.begun)), events
	}
	return line.end, nil
}

// A time as the protocol writes it.
func nanos(time time.Duration) any {
	if time < 1<<53 {
		return max(0, time)
	}
	return strconv.FormatInt(int64(time), 10)
}

// Behind these messages the next one follows before anything else runs.
var atOnce = []string{"get", "warm", "close_pool", "return", "discard", "ended", "break", "destructor"}

func nameOf(message json.RawMessage) string {
	var to struct{ Do string }
	must(json.Unmarshal(message, &to))
	return to.Do
}

func (r *rule) do(text json.RawMessage) {
	defer func() {
		if why := recover(); why != nil {
			r.say("broken", event{"says": fmt.Sprintf("%s: %v", text, why)})
		}
	}()
	var to struct {
		Do string
		ID int
	}
	must(json.Unmarshal(text, &to))
	switch to.Do {
	case "begin":
	case "end":
		r.leftAlive()
		r.endPools()
		r.stop()
		synctest.Wait()
		r.isOver = true
	case "start":
		run := r.pending[to.ID]
		delete(r.pending, to.ID)
		if r.nest(to.ID, run) {
			return
		}
		ctx, cancel := context.WithCancel(r.ctx)
		r.cancels[to.ID] = cancel
		go run(ctx)
	case "cancel":
		r.lock.Lock()
		r.cancelled[to.ID] = true
		r.lock.Unlock()
		if r.pending[to.ID] != nil {
			delete(r.pending, to.ID)
			r.say("end", event{"id": to.ID, "cancelled": true})
		} else if cancel := r.cancels[to.ID]; cancel != nil {
			cancel()
			r.giveBack(to.ID, 0)
			r.endLease(to.ID, func(lease Lease) { lease.Release() })
		}
	case "limiter", "try", "acquire", "reserve", "release", "settle", "change", "keys":
		r.limit(to.Do, text)
	case "policy", "call", "result":
		r.retry(to.Do, text)
	case "operator", "queue", "consumer", "push", "pop", "drop":
		r.queue(to.Do, text)
	case "group", "run", "spawn", "look", "results":
		r.task(to.Do, text)
	case "program":
		r.program(text)
	case "pool", "get", "take", "return", "discard", "detach", "warm", "close_pool", "drop_pool", "resize", "retire", "snapshot", "ended", "break", "destructor":
		r.pool(to.Do, text)
	default:
		panic("unknown message")
	}
}

// The end of what the suite has cancelled, or an error that the driver does not know.
func (r *rule) failed(id int, what string, err error) {
	switch {
	case r.isCancelled(id):
		r.say("end", event{"id": id, "cancelled": true})
	case r.ctx.Err() == nil:
		r.say("broken", event{"says": what + " ends by " + err.Error()})
	}
}

func (r *rule) isCancelled(id int) bool {
	r.lock.Lock()
	defer r.lock.Unlock()
	return r.cancelled[id]
}

// Makes what settings are for, and tells whether there is such a thing. A panic is a refusal of the library, but an error of the runtime in
// the adapter is none: the adapter has divided by zero, say, and has not asked the library.
func (r *rule) configure(id int, make func() error) {
	var own runtime.Error
	err := func() (err error) {
		defer func() {
			if why := recover(); why != nil {
				err = fmt.Errorf("panic: %v", why)
				if fault, isFault := why.(runtime.Error); isFault && isOwnPanic() {
					own = fault
				}
			}
		}()
		return make()
	}()
	var not NotExpressible
	switch {
	case own != nil:
		r.say("broken", event{"says": fmt.Sprintf("the adapter fails at these settings: %v", own)})
	case err == nil:
		r.say("configured", event{"id": id})
	case errors.As(err, &not):
		r.say("not expressible", event{"id": id, "says": err.Error()})
	default:
		r.say("refused", event{"id": id, "says": err.Error()})
	}
}

// Whether the panic that is being recovered began in the adapter, which is package main, or in this package, and not in the library.
func isOwnPanic() bool {
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers)])
	this, more := frames.Next()
	for hasPanicked := false; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		place := packageOf(frame.Function)
		isRuntime := place == "runtime" || strings.HasPrefix(place, "internal/runtime/")
		if hasPanicked && !isRuntime {
			return place == "main" || place == packageOf(this.Function)
		}
		hasPanicked = hasPanicked || frame.Function == "runtime.gopanic"
	}
	return false
}

// The package of a function, which ends at the first dot behind the last slash.
func packageOf(function string) string {
	slash := strings.LastIndex(function, "/") + 1
	name, _, _ := strings.Cut(function[slash:], ".")
	return function[:slash] + name
}

// LIMIT

// LimitSettings are the settings of a limiter.
type LimitSettings struct {
	Limit       Limit
	Also        *Limit
	StartsEmpty bool `json:"starts_empty"`
	Waits       bool
	MaxWaiters  *int `json:"max_waiters"`
	Keyed       bool
	MaxKeys     *int `json:"max_keys"`
}

// Limit is one limit: Kind is "bucket", with all numbers, "sliding", without Burst, or "concurrency", with Limit alone.
type Limit struct {
	Kind string
	Rate
	Burst, Limit int
}

// Rate is a number of permits in a time.
type Rate struct {
	Permits int
	Per     time.Duration
}

// Request asks for permits; Key is nil in a limiter without keys.
type Request struct {
	Permits int
	Key     *int
}

// Change is one change of a limiter: the member that is not nil.
type Change struct {
	Rate                 *Rate
	Burst, Limit, Refund *int
	Penalty              *time.Duration
	Close                *bool
}

// Denied is the error of a request that is refused: busy, never fits, queue full, deadline or closed. An error of a context whose
// deadline is over is the same as "deadline".
type Denied struct {
	Reason     string
	RetryAfter *time.Duration
}

func (d Denied) Error() string { return d.Reason }

// Limiter has the functions that the library supports; a request is granted if its error is nil, and the function beside that gives the
// permits back, if it is not nil. The deadline of a request is that of its context. Reserve returns a function of the number of used permits.
type Limiter struct {
	Try     func(Request) (func(), error)
	Acquire func(context.Context, Request) (func(), error)
	Reserve func(context.Context, Request) (func(used int), error)
	Change  func(Change)
	Keys    func() int
}

type limits struct {
	limiters map[int]Limiter
	held     map[int]func(used int)
}

// The members of all messages of limits.
type limitMessage struct {
	ID, Limiter, Used int
	Settings          LimitSettings
	Deadline          *time.Duration
	Request
}

// Messages of limits.
func (r *rule) limit(do string, text json.RawMessage) {
	if do == "change" {
		var change struct {
			Limiter int
			Change
		}
		must(json.Unmarshal(text, &change))
		r.limiters[change.Limiter].Change(change.Change)
		return
	}
	var m limitMessage
	must(json.Unmarshal(text, &m))
	limiter := r.limiters[m.Limiter]
	switch do {
	case "limiter":
		r.configure(m.ID, func() (err error) {
			r.limiters[m.ID], err = r.adapter.Limiter(m.Settings)
			return err
		})
	case "try":
		release, err := limiter.Try(m.Request)
		r.answer(m.ID, once(release), err)
	case "acquire":
		r.pending[m.ID] = func(ctx context.Context) {
			ctx, cancel := r.deadline(ctx, m.Deadline)
			defer cancel()
			release, err := limiter.Acquire(ctx, m.Request)
			r.answer(m.ID, once(release), err)
		}
	case "reserve":
		r.pending[m.ID] = func(ctx context.Context) {
			settle, err := limiter.Reserve(ctx, m.Request)
			r.answer(m.ID, settle, err)
		}
	case "release", "settle":
		r.giveBack(m.ID, m.Used)
	case "keys":
		r.say("keys", event{"id": m.ID, "keys": limiter.Keys()})
	}
}

func once(release func()) func(int) {
	if release == nil {
		release = func() {}
	}
	return func(int) { release() }
}

func (r *rule) deadline(ctx context.Context, at *time.Duration) (context.Context, context.CancelFunc) {
	if at == nil {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, r.begun.Add(*at))
}

func (r *rule) answer(id int, giveBack func(int), err error) {
	var denied Denied
	switch {
	case err == nil && r.isCancelled(id):
		giveBack(0)
		r.say("end", event{"id": id, "cancelled": true})
	case err == nil:
		r.lock.Lock()
		r.held[id] = giveBack
		r.lock.Unlock()
		r.say("granted", event{"id": id})
	case errors.As(err, &denied):
		members := event{"id": id, "reason": denied.Reason}
		if denied.RetryAfter != nil {
			members["retry_after"] = nanos(*denied.RetryAfter)
		}
		r.say("denied", members)
	case errors.Is(err, context.DeadlineExceeded):
		r.say("denied", event{"id": id, "reason": "deadline"})
	default:
		r.failed(id, "a request", err)
	}
}

func (r *rule) giveBack(id, used int) {
	r.lock.Lock()
	giveBack := r.held[id]
	delete(r.held, id)
	r.lock.Unlock()
	if giveBack != nil {
		giveBack(used)
	}
}

// RETRY

// RetrySettings are the settings of a policy. Jitter is nil, "usual" or a percentage; Factor is nil where the delays do not grow.
type RetrySettings struct {
	MaxAttempts     int `json:"max_attempts"`
	Initial, Cap    time.Duration
	Factor          *Factor
	Jitter          any
	TotalTimeout    *time.Duration `json:"total_timeout"`
	AttemptTimeout  *time.Duration `json:"attempt_timeout"`
	Deadline        *time.Duration
	ResetAfter      *time.Duration `json:"reset_after"`
	MaxRetryAfter   *time.Duration `json:"max_retry_after"`
	StopAfter       *time.Duration `json:"stop_after"`
	Seed            *int64
	Responses       bool
	AtMostOnce      bool `json:"at_most_once"`
	IdempotencyKeys bool `json:"idempotency_keys"`
	Budget          *struct {
		Percent, Reserve int
		PerSecond        int `json:"per_second"`
	}
}

// Factor may be no number, or infinite.
type Factor float64

// UnmarshalJSON reads a number, or the text of what is none.
func (f *Factor) UnmarshalJSON(text []byte) error {
	number, err := strconv.ParseFloat(strings.Trim(string(text), `"`), 64)
	*f = Factor(number)
	return err
}

// Policy calls an operation until it succeeds, or gives up, and returns the value of the attempt.
type Policy func(context.Context, *Operation) (int, error)

// Failure is the error of an attempt: its hint is "transient", "permanent", "not sent" or "retry after", with the time.
// As with real errors, the text does not tell the attempt.
type Failure struct {
	Attempt int
	Hint    string
	After   *time.Duration
}

func (f *Failure) Error() string { return f.Hint }

// GaveUp is the error of a call that ends without the error of an attempt, or with a reason.
type GaveUp struct {
	Last   *Failure
	Reason string
}

func (g GaveUp) Error() string { return "gave up: " + g.Reason }

// Operation is what the library calls.
type Operation struct {
	r         *rule
	id        int
	attempts  int
	answers   map[int]chan *Failure
	responses map[int]*Failure
}

// Call is one attempt: its value is its number.
func (o *Operation) Call(ctx context.Context) (int, error) {
	o.attempts++
	attempt, answer := o.attempts, make(chan *Failure, 1)
	o.answers[attempt] = answer
	o.r.say("attempt", event{"id": o.id, "attempt": attempt})
	select {
	case failure := <-answer:
		if failure != nil {
			return 0, failure
		}
		return attempt, nil
	case <-ctx.Done():
		o.r.say("dropped", event{"id": o.id, "attempt": attempt})
		return 0, ctx.Err()
	}
}

// Judge returns the failure that a response is, or nil.
func (o *Operation) Judge(value int) *Failure { return o.responses[value] }

// Observed tells of a retry, from the hook of the library.
func (o *Operation) Observed(delay time.Duration) {
	o.r.say("observed", event{"id": o.id, "delay": nanos(delay)})
}

// ObservedRetry tells of a retry, from a hook that is told no delay.
func (o *Operation) ObservedRetry() { o.r.say("observed", event{"id": o.id, "delay": nil}) }

// Keyed tells the idempotency key of the attempt that is called next.
func (o *Operation) Keyed(key string) { o.r.say("keyed", event{"id": o.id, "key": key}) }

type retries struct {
	policies   map[int]Policy
	operations map[int]*Operation
}

// Messages of retries.
func (r *rule) retry(do string, text json.RawMessage) {
	var m struct {
		ID, Policy, Attempt int
		Settings            RetrySettings
		Outcome, Hint       string
		After               *time.Duration
	}
	must(json.Unmarshal(text, &m))
	switch do {
	case "policy":
		r.configure(m.ID, func() (err error) {
			r.policies[m.ID], err = r.adapter.Policy(m.Settings)
			return err
		})
	case "call":
		operation := &Operation{r, m.ID, 0, map[int]chan *Failure{}, map[int]*Failure{}}
		r.operations[m.ID] = operation
		r.pending[m.ID] = func(ctx context.Context) {
			value, err := r.policies[m.Policy](ctx, operation)
			r.end(m.ID, value, err)
		}
	case "result":
		operation, failure := r.operations[m.ID], &Failure{m.Attempt, m.Hint, m.After}
		if m.Outcome == "response" {
			operation.responses[m.Attempt] = failure
		}
		if m.Outcome != "error" {
			failure = nil
		}
		operation.answers[m.Attempt] <- failure
	}
}

func (r *rule) end(id, value int, err error) {
	var failure *Failure
	var gaveUp GaveUp
	switch {
	case err == nil:
		r.say("end", event{"id": id, "ok": value})
	case errors.As(err, &gaveUp):
		ended := event{"id": id, "reason": gaveUp.Reason, "error": nil}
		if gaveUp.Last != nil {
			ended["error"] = gaveUp.Last.Attempt
		}
		r.say("end", ended)
	case errors.As(err, &failure):
		r.say("end", event{"id": id, "error": failure.Attempt})
	default:
		r.failed(id, "a call", err)
	}
}

// STREAM: queues alone

// Item is what a queue carries.
type Item struct {
	ID, Number int
}

// Rejected is the error of a push that the queue does not take, and ErrOver that of a pop after the last item.
type Rejected struct{ IsBack bool }

func (Rejected) Error() string { return "rejected" }

// ErrOver is the error of a pop after the last item.
var ErrOver = errors.New("there are no more items")

// Queue has the functions that the library supports. End is called when the last producer is gone.
type Queue struct {
	Push func(context.Context, Item) error
	Pop  func(context.Context) (Item, error)
	End  func()
}

type queues struct {
	// Each operator with its capacity.
	operators map[int]int
	// Under the id of the end for producers, and under those of the consumers.
	producers, consumers map[int]Queue
}

// Messages of queues.
func (r *rule) queue(do string, text json.RawMessage) {
	var m struct {
		ID, Operator, Consumer, Of, Queue int
		Item                              Item
		Settings                          struct {
			Kind     string
			Capacity int
		}
	}
	must(json.Unmarshal(text, &m))
	switch do {
	case "operator":
		r.configure(m.ID, func() error {
			if m.Settings.Kind != "queue" {
				return NotExpressible("a " + m.Settings.Kind)
			}
			r.operators[m.ID] = m.Settings.Capacity
			return nil
		})
	case "queue":
		r.configure(m.ID, func() error {
			made, err := r.adapter.Queue(r.operators[m.Operator])
			r.producers[m.ID], r.consumers[m.Consumer] = made, made
			return err
		})
	case "consumer":
		r.consumers[m.ID] = r.consumers[m.Of]
	case "push":
		r.pending[m.ID] = func(ctx context.Context) {
			err := r.producers[m.Queue].Push(ctx, m.Item)
			var rejected Rejected
			switch {
			case err == nil:
				r.say("pushed", event{"id": m.ID})
			case errors.As(err, &rejected):
				r.say("rejected", event{"id": m.ID, "back": rejected.IsBack})
			default:
				r.failed(m.ID, "a push", err)
			}
		}
	case "pop":
		r.pending[m.ID] = func(ctx context.Context) {
			item, err := r.consumers[m.Consumer].Pop(ctx)
			switch {
			case err == nil:
				r.say("popped", event{"id": m.ID, "item": item.ID})
			case errors.Is(err, ErrOver):
				r.say("over", event{"id": m.ID})
			default:
				r.failed(m.ID, "a pop", err)
			}
		}
	case "drop":
		// A consumer that is gone is nothing that a queue without "end with consumers" hears of.
		if end := r.producers[m.ID].End; end != nil {
			end()
		}
	}
}

// TASK

// GroupSettings are the settings of a group; OnFailure is "stop", "go on", or nil for the default.
type GroupSettings struct {
	OnFailure       *string `json:"on_failure"`
	Limit           *int
	Deadline, Grace *time.Duration
	StopAfter       *time.Duration `json:"stop_after"`
}

// Group runs a body and its tasks, and returns their errors, alone or joined. That of a context is its deadline, or a stop; a panic goes on.
type Group func(context.Context, *Body) error

// TaskFailed is the error of a task; number 0 is the body of its group.
type TaskFailed struct{ Task int }

func (t TaskFailed) Error() string { return fmt.Sprintf("task %d failed", t.Task) }

// TaskPanicked is the value with which a task panics.
type TaskPanicked struct{ Task int }

func (t TaskPanicked) Error() string { return fmt.Sprintf("task %d panicked", t.Task) }

// Task is what a group is to run.
type Task struct {
	*probe
	Number int
}

// Run runs the task until it ends, or until its context does; spawn puts another task into its group.
func (t *Task) Run(ctx context.Context, spawn func(*Task)) error { return t.run(ctx, nil, spawn) }

// Drain runs a task that nothing cuts: the end of its context only asks it to end.
func (t *Task) Drain(ctx context.Context, spawn func(*Task)) error { return t.run(t.r.ctx, ctx, spawn) }

// Body is the code that spawns the tasks of a group.
type Body struct {
	*probe
	handle   func(*Task)
	tasks    []*Task
	hasEnded bool
}

// Run runs the body; spawn puts a task into its group.
func (b *Body) Run(ctx context.Context, spawn func(*Task)) error { return b.run(ctx, nil, spawn) }

// HandOut leaves a handle that may outlive the group.
func (b *Body) HandOut(spawn func(*Task)) { b.handle = spawn }

// A task or a body, whose script the suite has: it carries out orders, and tells its steps.
type probe struct {
	r                *rule
	id, number       int
	panics           bool
	orders           chan order
	hasBegun, isOver bool
}

type order struct {
	do    string
	spawn *Task
	await func(context.Context)
}

func (p *probe) tell(name string) { p.r.say(name, event{"id": p.id}) }

func (p *probe) run(ctx, asked context.Context, spawn func(*Task)) error {
	p.hasBegun = true
	p.tell("began")
	defer p.dropOrders()
	var drain <-chan struct{}
	for {
		switch order := p.next(ctx, drain); order.do {
		case "look":
			if asked != nil {
				drain = asked.Done()
			}
		case "drain":
			drain = nil
			p.tell("drained")
		case "spawn":
			spawn(order.spawn)
		case "await":
			order.await(ctx)
		case "drop":
			p.drop()
			if p.panics {
				panic(TaskPanicked{p.number})
			}
			return context.Cause(ctx)
		case "ok", "error", "panic":
			p.isOver = true
			p.tell("ended")
			switch order.do {
			case "error":
				return TaskFailed{p.number}
			case "panic":
				panic(TaskPanicked{p.number})
			}
			return nil
		}
	}
}

// The next order. One that is there comes before the end of the context, and before that of the signal to drain.
func (p *probe) next(ctx context.Context, drain <-chan struct{}) (next order) {
	select {
	case next = <-p.orders:
	case <-ctx.Done():
		next.do = "drop"
	case <-drain:
		next.do = "drain"
	}
	if next.do == "drop" || next.do == "drain" {
		select {
		case next = <-p.orders:
		default:
			return next
		}
	}
	p.r.giving.Lock()
	defer p.r.giving.Unlock()
	return next
}

// The tasks that it was to spawn are dropped.
func (p *probe) dropOrders() {
	for len(p.orders) > 0 {
		if left := <-p.orders; left.do == "spawn" {
			left.spawn.drop()
		}
	}
}

func (p *probe) drop() {
	p.isOver = true
	p.tell("dropped")
}

type groups struct {
	groups map[int]Group
	probes map[int]*probe
	bodies map[int]*Body
	// Each run that a task awaits, with that task.
	nested map[int]int
	// Nobody goes on before all results of one instant are there.
	giving sync.Mutex
}

type taskMessage struct {
	ID, Task int
	Panics   bool `json:"panics_when_dropped"`
}

// More orders than any rule gives at a time.
const orders = 4096

func (r *rule) newTask(m taskMessage, body *Body) *Task {
	task := &Task{&probe{r: r, id: m.ID, number: m.Task, panics: m.Panics, orders: make(chan order, orders)}, m.Task}
	r.probes[m.ID] = task.probe
	body.tasks = append(body.tasks, task)
	return task
}

// Messages of groups.
func (r *rule) task(do string, text json.RawMessage) {
	var m struct {
		taskMessage
		Group, Run, Program int
		By                  *int
		Settings            GroupSettings
		Of                  []struct {
			ID      int
			Outcome string
		}
	}
	must(json.Unmarshal(text, &m))
	switch do {
	case "group":
		r.configure(m.ID, func() (err error) {
			r.groups.groups[m.ID], err = r.adapter.Group(m.Settings)
			return err
		})
	case "run":
		body := &Body{probe: &probe{r: r, id: m.ID, orders: make(chan order, orders)}}
		r.probes[m.ID], r.bodies[m.ID] = body.probe, body
		group := r.groups.groups[m.Group]
		if m.Program > 0 {
			group = r.parts(m.Program, text, body)
		}
		r.pending[m.ID] = func(ctx context.Context) { r.runGroup(ctx, m.ID, group, body) }
		if m.By != nil {
			r.nested[m.ID] = *m.By
		}
	case "spawn":
		body := r.bodies[m.Run]
		task := r.newTask(m.taskMessage, body)
		switch {
		case m.By != nil && !r.probes[*m.By].isOver:
			r.probes[*m.By].orders <- order{do: "spawn", spawn: task}
		case m.By == nil && body.handle != nil:
			go body.handle(task)
		default:
			task.drop()
		}
	case "look":
		r.probes[m.ID].orders <- order{do: "look"}
	case "results":
		r.giving.Lock()
		defer r.giving.Unlock()
		for _, result := range m.Of {
			r.probes[result.ID].orders <- order{do: result.Outcome}
		}
	}
}

// Whether this run is one that a task awaits.
func (r *rule) nest(id int, run func(context.Context)) bool {
	by, isNested := r.nested[id]
	if isNested {
		r.probes[by].orders <- order{do: "await", await: run}
	}
	return isNested
}

func (r *rule) runGroup(ctx context.Context, id int, group Group, body *Body) {
	err := func() (err error) {
		defer func() {
			if why := recover(); why != nil {
				err = fmt.Errorf("panic: %v", why)
				if known, isError := why.(error); isError {
					err = known
				}
			}
		}()
		return group(ctx, body)
	}()
	body.hasEnded = true
	for _, task := range body.tasks {
		if !task.hasBegun && !task.isOver {
			task.drop()
		}
	}
	failures, unknown := failures(err, nil)
	switch {
	case r.isCancelled(id):
		r.say("end", event{"id": id, "cancelled": true})
	case unknown != nil:
		r.failed(id, "a group", unknown)
	default:
		r.say("end", event{"id": id, "failures": failures})
	}
}

// The failures in an error, and one that the driver does not know.
func failures(err error, known []event) (all []event, unknown error) {
	if known == nil {
		known = []event{}
	}
	switch err := err.(type) {
	case nil:
		return known, nil
	case TaskFailed:
		return append(known, event{"kind": "error", "task": err.Task}), nil
	case TaskPanicked:
		return append(known, event{"kind": "panic", "task": err.Task}), nil
	case interface{ Unwrap() []error }:
		for _, one := range err.Unwrap() {
			if known, unknown = failures(one, known); unknown != nil {
				return known, unknown
			}
		}
		return known, nil
	case interface{ Unwrap() error }:
		return failures(err.Unwrap(), known)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return append(known, event{"kind": "deadline"}), nil
	case errors.Is(err, context.Canceled):
		return append(known, event{"kind": "stopped"}), nil
	}
	return known, err
}

// Tells of tasks that their group has left alive.
func (r *rule) leftAlive() {
	for _, body := range r.bodies {
		for _, task := range body.tasks {
			if body.hasEnded && task.hasBegun && !task.isOver {
				r.say("failed", event{"says": fmt.Sprintf("task %d is left alive", task.Number)})
			}
		}
	}
}

// SHUTDOWN: programs that are stopped by hand. No signal reaches a channel that was made in a bubble.

// ProgramSettings are the settings of a program: StopAfter is the time of a stop by hand.
type ProgramSettings struct {
	StopAfter *time.Duration `json:"stop_after"`
}

// Program runs its parts to the end, and returns the errors of its tasks as a group does.
type Program func(context.Context, *Parts) error

// Parts are the parts of a program: tasks, and clean-ups that run when they have ended.
type Parts struct {
	Tasks, CleanUps []*Task
	startUp         *Task
}

// StartUp is the work between making the program and running it.
func (p *Parts) StartUp(ctx context.Context) error {
	if p.startUp == nil {
		return nil
	}
	return p.startUp.Run(ctx, nil)
}

func (r *rule) program(text json.RawMessage) {
	var m struct {
		ID       int
		Settings ProgramSettings
	}
	must(json.Unmarshal(text, &m))
	r.configure(m.ID, func() (err error) {
		r.programs[m.ID], err = r.adapter.Program(m.Settings)
		return err
	})
}

// The program of a message `run`, with its parts.
func (r *rule) parts(program int, text json.RawMessage, body *Body) Group {
	var m struct {
		Tasks    []taskMessage
		CleanUps []taskMessage `json:"clean_ups"`
		StartUp  *int          `json:"start_up"`
	}
	must(json.Unmarshal(text, &m))
	list := func(messages []taskMessage) (tasks []*Task) {
		for _, one := range messages {
			tasks = append(tasks, r.newTask(one, body))
		}
		return tasks
	}
	parts := &Parts{Tasks: list(m.Tasks), CleanUps: list(m.CleanUps)}
	if m.StartUp != nil {
		parts.startUp = r.newTask(taskMessage{ID: *m.StartUp}, body)
	}
	return func(ctx context.Context, _ *Body) error { return r.programs[program](ctx, parts) }
}

// POOLS

// PoolSettings are the settings of a pool; what is nil is no limit. The acquire time-out is that of a get whose context has no deadline;
// Order is "lifo", "fifo", or nil for the default.
type PoolSettings struct {
	Backend        *Backend `json:"-"`
	Max            int
	AcquireTimeout *time.Duration `json:"acquire_timeout"`
	CreateTimeout  *time.Duration `json:"create_timeout"`
	CheckTimeout   *time.Duration `json:"check_timeout"`
	ValidateAfter  *time.Duration `json:"validate_after"`
	IdleTimeout    *time.Duration `json:"idle_timeout"`
	MaxLifetime    *time.Duration `json:"max_lifetime"`
	MaxCreating    *int           `json:"max_creating"`
	MinIdle        int            `json:"min_idle"`
	Checks, Resets bool
	Order          *string
}

// Pool has the functions that the library supports; Close ends the pool with the rule, too, and Take is a get of an idle object, or none.
// Take, Resize, Retire, Snapshot and the functions of a lease do not block. An error of Get is that of its context, Refused as the backend
// has it, or NoObject. Closes with a deadline, lists of holders and deadlocks are not in this driver.
type Pool struct {
	Get      func(context.Context) (Lease, error)
	Take     func() (lease Lease, isThere bool)
	Warm     func(ctx context.Context, objects int) error
	Resize   func(max int)
	Retire   func()
	Close    func()
	Snapshot func() Snapshot
}

// Lease is an object in use, and its ends: each is called once at most.
type Lease struct {
	Object                   *Object
	Release, Discard, Detach func()
}

// Snapshot has the numbers of a pool; one that the library does not tell is nil.
type Snapshot struct{ Size, Idle, Waiting any }

// NoObject is the error of a get that ends without an object: timeout, create timeout or closed.
type NoObject struct{ Reason string }

func (n NoObject) Error() string { return n.Reason }

// Refused is the error of a creation, a check or a reset; Kind is single, transient or fatal.
type Refused struct{ Says, Kind string }

func (r Refused) Error() string { return r.Says }

// Unforeseen is the value with which a step or a destructor panics.
type Unforeseen string

func (u Unforeseen) Error() string { return string(u) }

// Backend makes the objects of a pool, as the script of a rule says, which is on the suite's side.
type Backend struct {
	r         *rule
	id, steps int
	answers   map[int]chan ended
	objects   []*Object
	lock      sync.Mutex
	isOver    bool
}

// The end of a step.
type ended struct {
	Backend, Step       int
	Outcome, Kind, Says string
}

// Object is what a connection is connected with: Free is called when it is closed.
type Object struct {
	backend          *Backend
	number           int
	isBroken, isFree bool
	destructor       func()
}

// Create creates an object, or returns Refused, or panics.
func (b *Backend) Create(ctx context.Context) (*Object, error) {
	b.lock.Lock()
	object := &Object{backend: b, number: len(b.objects) + 1}
	b.objects = append(b.objects, object)
	b.lock.Unlock()
	isMade := false
	defer func() {
		if !isMade {
			b.forget(object)
		}
	}()
	if err := b.step(ctx, "create", object); err != nil {
		return nil, err
	}
	isMade = true
	return object, nil
}

// A step, whose end is told by the suite. Nothing is asked when the rule is over.
func (b *Backend) step(ctx context.Context, what string, object *Object) error {
	answer := make(chan ended, 1)
	b.lock.Lock()
	b.steps++
	step, isOver := b.steps, b.isOver
	if !isOver {
		b.answers[step] = answer
	}
	b.lock.Unlock()
	if isOver {
		return nil
	}
	b.r.say(what, event{"id": b.id, "step": step, "object": object.number})
	select {
	case end := <-answer:
		switch end.Outcome {
		case "error":
			return Refused{end.Says, end.Kind}
		case "panic":
			panic(Unforeseen(end.Says))
		}
		return nil
	case <-ctx.Done():
		b.r.say("dropped", event{"id": b.id, "step": step})
		return ctx.Err()
	}
}

// An object that was never made.
func (b *Backend) forget(object *Object) {
	b.lock.Lock()
	defer b.lock.Unlock()
	object.isFree = true
}

// The end of a step, which may have been let go meanwhile.
func (b *Backend) ended(end ended) {
	b.lock.Lock()
	defer b.lock.Unlock()
	if answer := b.answers[end.Step]; answer != nil {
		answer <- end
		delete(b.answers, end.Step)
	}
}

// What hangs comes to its end.
func (b *Backend) recover() {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.isOver = true
	for _, answer := range b.answers {
		answer <- ended{Outcome: "ok"}
	}
	clear(b.answers)
}

// The numbers of the objects that are there.
func (b *Backend) alive() (numbers []string) {
	b.lock.Lock()
	defer b.lock.Unlock()
	for _, object := range b.objects {
		if !object.isFree {
			numbers = append(numbers, fmt.Sprintf("object %d", object.number))
		}
	}
	return numbers
}

// Check checks the object, or returns Refused, or panics.
func (o *Object) Check(ctx context.Context) error { return o.backend.step(ctx, "check", o) }

// Reset resets the object, or returns Refused, or panics.
func (o *Object) Reset(ctx context.Context) error { return o.backend.step(ctx, "reset", o) }

// IsBroken tells what its last user has found.
func (o *Object) IsBroken() bool {
	o.backend.lock.Lock()
	defer o.backend.lock.Unlock()
	return o.isBroken
}

// Free closes the object.
func (o *Object) Free() {
	b := o.backend
	b.lock.Lock()
	wasFree := o.isFree
	o.isFree = true
	b.lock.Unlock()
	if wasFree {
		return
	}
	b.r.say("free", event{"id": b.id, "object": o.number})
	if o.destructor != nil {
		o.destructor()
	}
}

type pools struct {
	pools    map[int]Pool
	backends map[int]*Backend
	leases   map[int]Lease
	// Those whose last handle is gone end with the rule, too.
	all []Pool
}

// Messages of pools.
func (r *rule) pool(do string, text json.RawMessage) {
	var m struct {
		ID, Pool, Objects, Object, Max int
		Settings                       struct {
			Backend int
			PoolSettings
		}
		Deadline *time.Duration
		Does     string
		ended
	}
	must(json.Unmarshal(text, &m))
	pool := r.pools.pools[m.Pool]
	switch do {
	case "pool":
		backend := &Backend{r: r, id: m.Settings.Backend, answers: map[int]chan ended{}}
		r.backends[backend.id], m.Settings.PoolSettings.Backend = backend, backend
		r.configure(m.ID, func() error {
			made, err := r.adapter.Pool(m.Settings.PoolSettings)
			if err == nil {
				r.pools.pools[m.ID], r.all = made, append(r.all, made)
			}
			return err
		})
	case "get":
		r.pending[m.ID] = func(ctx context.Context) {
			ctx, cancel := r.deadline(ctx, m.Deadline)
			defer cancel()
			lease, err := pool.Get(ctx)
			r.lend(m.ID, lease, err)
		}
	case "take":
		if lease, isThere := pool.Take(); isThere {
			r.lend(m.ID, lease, nil)
		} else {
			r.say("none", event{"id": m.ID})
		}
	case "return":
		r.endLease(m.ID, func(lease Lease) { lease.Release() })
	case "discard":
		r.endLease(m.ID, func(lease Lease) { lease.Discard() })
	case "detach":
		r.endLease(m.ID, func(lease Lease) {
			lease.Object.backend.forget(lease.Object) // it is its user's
			lease.Detach()
		})
	case "warm":
		r.pending[m.ID] = func(ctx context.Context) {
			if err := pool.Warm(ctx, m.Objects); err != nil {
				r.failed(m.ID, "a warm-up", err)
				return
			}
			r.say("done", event{"id": m.ID})
		}
	case "close_pool":
		r.pending[m.ID] = func(context.Context) {
			pool.Close()
			r.say("closed", event{"id": m.ID, "leases": 0})
		}
	case "drop_pool":
		delete(r.pools.pools, m.Pool)
	case "resize":
		pool.Resize(m.Max)
	case "retire":
		pool.Retire()
	case "snapshot":
		numbers := pool.Snapshot()
		r.say("snapshot", event{"id": m.ID, "size": numbers.Size, "idle": numbers.Idle, "waiting": numbers.Waiting})
	case "ended":
		r.backends[m.Backend].ended(m.ended)
	case "break":
		backend := r.backends[m.Backend]
		backend.lock.Lock()
		backend.objects[m.Object-1].isBroken = true
		backend.lock.Unlock()
	case "destructor":
		object := r.backends[m.Backend].objects[m.Object-1]
		object.destructor = func() { panic(Unforeseen("the destructor panics")) }
		if m.Does == "asks" {
			object.destructor = func() { r.askAndLeave(pool) }
		}
	}
}

// Asks for an object, and gives that up.
func (r *rule) askAndLeave(pool Pool) {
	ctx, cancel := context.WithCancel(r.ctx)
	go func() {
		if lease, err := pool.Get(ctx); err == nil {
			lease.Release()
		}
	}()
	go cancel()
}

// The end of a get.
func (r *rule) lend(id int, lease Lease, err error) {
	var none NoObject
	var refused Refused
	var unforeseen Unforeseen
	denied := func(reason string, says any) {
		r.say("denied", event{"id": id, "reason": reason, "says": says})
	}
	switch {
	case err == nil && r.isCancelled(id): // it has got an object all the same
		lease.Release()
		r.say("end", event{"id": id, "cancelled": true})
	case err == nil:
		r.lock.Lock()
		r.leases[id] = lease
		r.lock.Unlock()
		r.say("got", event{"id": id, "object": lease.Object.number})
	case errors.As(err, &none):
		denied(none.Reason, nil)
	case errors.As(err, &refused):
		denied("create", refused.Says)
	case errors.As(err, &unforeseen):
		denied("panic", unforeseen.Error())
	case errors.Is(err, context.DeadlineExceeded):
		denied("timeout", nil)
	default:
		r.failed(id, "a get", err)
	}
}

func (r *rule) endLease(id int, end func(Lease)) {
	r.lock.Lock()
	lease, isHeld := r.leases[id]
	delete(r.leases, id)
	r.lock.Unlock()
	if isHeld {
		end(lease)
	}
}

// Ends the pools, as their user would at the end of a program. No object may be left an hour later; goroutines are told by the bubble.
func (r *rule) endPools() {
	if len(r.backends) == 0 {
		return
	}
	r.stop()
	for _, backend := range r.backends {
		backend.recover()
	}
	for _, pool := range r.all {
		go pool.Close()
	}
	time.Sleep(time.Hour)
	synctest.Wait()
	var left []string
	for _, backend := range r.backends {
		left = append(left, backend.alive()...)
	}
	if len(left) > 0 {
		r.say("failed", event{"says": "left alive an hour after the end: " + strings.Join(left, ", ")})
	}
}
