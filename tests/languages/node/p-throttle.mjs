// p-throttle: `limit` calls in an `interval`, with its default algorithm.
import { Denied, NotExpressible, serve } from './evenkeel_tck.mjs';
import pThrottle from 'p-throttle';
import versions from './versions.mjs';

const NONE = 'there is no such thing';

serve({
  library: 'p-throttle', version: versions['p-throttle'],
  limit: {
    'rate': true, 'wait': true, 'weights': true, 'burst': NONE, 'concurrency': NONE, 'try': NONE, 'mixed': NONE,
    'start empty': NONE, 'sliding': '`strict`, whose calls wait', 'retry after': NONE, 'never fits': NONE, 'deadline': NONE,
    'max waiters': NONE, 'set rate': NONE, 'set burst': NONE, 'set limit': NONE, 'refund': NONE, 'reserve': NONE,
    'penalty': NONE, 'close': NONE, 'keys': NONE, 'count keys': NONE, 'max keys': NONE, 'all of': NONE,
  },
  limiter({ limit, also }) {
    if (also !== null || limit.kind !== 'bucket') throw new NotExpressible('another limit than a bucket');
    const throttle = pThrottle({ limit: limit.permits, interval: limit.per, weight: (permits) => permits });
    const inner = throttle(async () => {});
    return {
      async acquire(permits) {
        try {
          await inner(permits);
        } catch { // a weight above the limit
          throw new Denied('never fits');
        }
      },
    };
  },
});
