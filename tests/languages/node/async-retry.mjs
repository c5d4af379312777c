// async-retry, which wraps node-retry and takes its options; `bail` ends a call.
import { NotExpressible, serve } from './evenkeel_tck.mjs';
import retry from 'async-retry';
import versions from './versions.mjs';

const NONE = 'there is no such setting';

serve({
  library: 'async-retry', version: versions['async-retry'],
  can: [], // there is no signal: a call cannot be cancelled from outside
  retry: {
    'jitter': true, 'total timeout': true, 'observer': '`onRetry` is told the error and the attempt, and no delay',
    'seed': 'it draws from `Math.random`', 'attempt timeout': NONE, 'retry after': NONE, 'max retry after': NONE, 'deadline': NONE,
    'reset after': NONE, 'budget': NONE, 'at most once': NONE, 'idempotency keys': NONE, 'responses': 'errors alone are retried',
    'stop signal': 'there is no signal, and `bail` does not end a wait',
    'reason': 'the error of an attempt comes back alone',
  },
  async policy(settings) {
    if (typeof settings.jitter === 'number') throw new NotExpressible('jitter by percent: it is a factor of 1 to 2, or none');
    const options = {
      retries: settings.max_attempts - 1, factor: settings.factor ?? 1, minTimeout: settings.initial, maxTimeout: settings.cap,
      randomize: settings.jitter !== null, ...(settings.total_timeout !== null && { maxRetryTime: settings.total_timeout }),
    };
    await retry(() => 1, options); // options are checked by a call
    return (operation) => retry(async (bail) => {
      try {
        return await operation();
      } catch (error) {
        if (error.hint !== 'permanent') throw error;
        bail(error);
      }
    }, options);
  },
});
