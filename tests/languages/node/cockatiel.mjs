// cockatiel: `retry` with a backoff, `handleWhen` for what is permanent, and a signal.
import { NotExpressible, serve } from './evenkeel_tck.mjs';
import {
  ConstantBackoff, ExponentialBackoff, decorrelatedJitterGenerator, handleWhen, noJitterGenerator, retry,
} from 'cockatiel';
import versions from './versions.mjs';

const NONE = 'there is no such setting';

serve({
  library: 'cockatiel', version: versions.cockatiel, can: ['cancel'],
  retry: {
    'jitter': true, 'responses': true, 'retry after': true, 'observer': true,
    'total timeout': 'wrap it in `timeout`, which is a policy of its own', 'attempt timeout': 'wrap the operation in `timeout`',
    'seed': 'it draws from `Math.random`', 'deadline': NONE, 'reset after': NONE, 'max retry after': NONE, 'budget': NONE,
    'at most once': NONE, 'idempotency keys': NONE, 'stop signal': 'its signal is looked at after an attempt',
    'reason': 'the error of the last attempt comes back alone',
  },
  policy(settings) {
    if (typeof settings.jitter === 'number') throw new NotExpressible('jitter by percent');
    if (settings.jitter !== null && settings.factor === null) throw new NotExpressible('jitter of a fixed delay');
    const plain = settings.factor === null ? new ConstantBackoff(settings.initial) : new ExponentialBackoff({
      initialDelay: settings.initial, maxDelay: settings.cap, exponent: settings.factor,
      generator: settings.jitter === null ? noJitterGenerator : decorrelatedJitterGenerator,
    });
    // A delay that the error asks for: a backoff may be any function of the result.
    return (operation, signal) => {
      const backoff = { next: (context) => asked(plain, context, operation) };
      const handled = handleWhen((error) => error.hint !== 'permanent');
      const policy = retry(settings.responses ? handled.orWhenResult((value) => operation.judge(value) !== null) : handled, {
        maxAttempts: settings.max_attempts - 1, backoff,
      });
      policy.onRetry(({ delay }) => operation.observed(delay));
      return policy.execute(operation, signal);
    };
  },
});

function asked(plain, context, operation) {
  const inner = plain.next(context);
  const { after } = context.result.error ?? operation.judge(context.result.value);
  return { duration: after ?? inner.duration, next: (context) => asked(inner, context, operation) };
}
