// p-limit: what runs at once.
import { NotExpressible, serve } from './evenkeel_tck.mjs';
import pLimit from 'p-limit';
import versions from './versions.mjs';

const NONE = 'there is no such thing';

serve({
  library: 'p-limit', version: versions['p-limit'],
  limit: {
    'concurrency': true, 'wait': true, 'set limit': true, 'rate': NONE, 'try': NONE, 'mixed': NONE, 'weights': NONE, 'burst': NONE,
    'start empty': NONE, 'sliding': NONE, 'retry after': NONE, 'never fits': NONE, 'deadline': NONE, 'max waiters': NONE,
    'set rate': NONE, 'set burst': NONE, 'refund': NONE, 'reserve': NONE, 'penalty': NONE,
    'close': '`clearQueue` leaves the promises of the waiters as they are', 'keys': NONE, 'count keys': NONE, 'max keys': NONE,
    'all of': NONE,
  },
  limiter({ limit, also }) {
    if (also !== null || limit.kind !== 'concurrency') throw new NotExpressible('a rate');
    const inner = pLimit(limit.limit);
    return {
      acquire: () => new Promise((granted, failed) => {
        inner(() => new Promise((release) => granted(release))).catch(failed);
      }),
      change(_, limit) { inner.concurrency = limit; },
    };
  },
});
