// p-retry: options in milliseconds, `shouldRetry`, `onFailedAttempt`, and a signal.
import { NotExpressible, serve } from './evenkeel_tck.mjs';
import pRetry from 'p-retry';
import versions from './versions.mjs';

const NONE = 'there is no such setting';

serve({
  library: 'p-retry', version: versions['p-retry'], can: ['cancel'],
  retry: {
    'jitter': true, 'total timeout': true, 'observer': true, 'retry after': NONE, 'responses': 'errors alone are retried',
    'seed': 'it draws from `Math.random`', 'attempt timeout': NONE, 'deadline': NONE, 'reset after': NONE,
    'max retry after': NONE, 'budget': NONE, 'at most once': NONE, 'idempotency keys': NONE,
    'stop signal': 'its signal rejects with its own reason, and not with the last error',
    'reason': 'the error of the last attempt comes back alone',
  },
  async policy(settings) {
    if (typeof settings.jitter === 'number') throw new NotExpressible('jitter by percent');
    const options = {
      retries: settings.max_attempts - 1, minTimeout: settings.initial, maxTimeout: settings.factor === null ? Infinity : settings.cap, factor: settings.factor ?? 1,
      randomize: settings.jitter !== null, ...(settings.total_timeout !== null && { maxRetryTime: settings.total_timeout }),
    };
    await pRetry(async () => {}, options); // options are checked by a call
    return (operation, signal) => pRetry(operation, {
      ...options, signal, shouldRetry: ({ error }) => error.hint !== 'permanent',
      onFailedAttempt: ({ retryDelay }) => operation.observed(retryDelay),
    });
  },
});
