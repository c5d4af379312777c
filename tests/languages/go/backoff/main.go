// github.com/cenkalti/backoff: Retry with an exponential or a constant delay, as its documentation shows.
package main

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"
	tck "github.com/evenkeel/evenkeel/crates/evenkeel-tck/drivers/go"
)

const none = "there is no such setting"

func delays(s tck.RetrySettings) (backoff.BackOff, error) {
	if s.Factor == nil && s.Jitter != nil {
		return nil, tck.NotExpressible("jitter of a fixed delay")
	}
	if s.Factor == nil {
		return backoff.NewConstantBackOff(s.Initial), nil
	}
	exponential := backoff.NewExponentialBackOff()
	exponential.InitialInterval, exponential.MaxInterval, exponential.Multiplier = s.Initial, s.Cap, float64(*s.Factor)
	switch jitter := s.Jitter.(type) {
	case nil:
		exponential.RandomizationFactor = 0
	case float64:
		exponential.RandomizationFactor = jitter / 100
	}
	return exponential, nil
}

// What the library makes of an error.
func marked(err error) error {
	var failure *tck.Failure
	switch {
	case !errors.As(err, &failure):
		return err
	case failure.Hint == "permanent":
		return backoff.Permanent(err)
	case failure.After != nil:
		return errors.Join(err, &backoff.RetryAfterError{Duration: *failure.After})
	default:
		return err
	}
}

func policy(s tck.RetrySettings) (tck.Policy, error) {
	if _, err := delays(s); err != nil {
		return nil, err
	}
	return func(ctx context.Context, operation *tck.Operation) (int, error) {
		delays, _ := delays(s)
		options := []backoff.RetryOption{
			backoff.WithBackOff(delays), backoff.WithMaxTries(uint(s.MaxAttempts)),
			backoff.WithMaxElapsedTime(0), // its word for no limit: its default is 15 minutes
			backoff.WithNotify(func(_ error, delay time.Duration) { operation.Observed(delay) }),
		}
		if s.TotalTimeout != nil {
			options = append(options, backoff.WithMaxElapsedTime(*s.TotalTimeout))
		}
		return backoff.Retry(ctx, func() (int, error) {
			value, err := operation.Call(ctx)
			return value, marked(err)
		}, options...)
	}, nil
}

func main() {
	tck.Serve(tck.Adapter{
		Library: "github.com/cenkalti/backoff", Version: tck.Version("github.com/cenkalti/backoff/v5"), Can: []string{"cancel"}, Policy: policy,
		Retry: tck.Claims{
			"jitter": true, "total timeout": true, "retry after": true, "observer": true,
			"responses": "errors alone are retried", "seed": "it draws from the global generator",
			"attempt timeout": "`context.WithTimeout` in the operation", "deadline": "that of its context is not the end of an attempt",
			"reset after": none, "max retry after": none, "budget": none, "at most once": none, "idempotency keys": none,
			"stop signal": "the end of its context gives the error of that, and not the last one",
			"reason":      "the error of the last attempt comes back alone",
		},
	})
}
