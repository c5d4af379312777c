// limiter: `RateLimiter`, and `TokenBucket` where the burst is another number.
import { Denied, NotExpressible, serve } from './evenkeel_tck.mjs';
import { RateLimiter, TokenBucket } from 'limiter';
import versions from './versions.mjs';

const NONE = 'there is no such thing';

serve({
  library: 'limiter', version: versions.limiter,
  limit: {
    'rate': true, 'try': true, 'wait': true, 'mixed': true, 'weights': true, 'burst': true, 'concurrency': NONE,
    'start empty': NONE, 'sliding': NONE, 'retry after': NONE, 'never fits': NONE, 'deadline': NONE, 'max waiters': NONE,
    'set rate': NONE, 'set burst': NONE, 'set limit': NONE, 'refund': NONE, 'reserve': NONE, 'penalty': NONE, 'close': NONE,
    'keys': NONE, 'count keys': NONE, 'max keys': NONE, 'all of': NONE,
  },
  limiter({ limit, also }) {
    if (also !== null || limit.kind !== 'bucket') throw new NotExpressible('another limit than a bucket');
    const options = { tokensPerInterval: limit.permits, interval: limit.per };
    const isPlain = limit.burst === limit.permits;
    const inner = isPlain ? new RateLimiter(options) : new TokenBucket({ ...options, bucketSize: limit.burst });
    if (!isPlain) inner.content = limit.burst; // it begins empty
    return {
      acquire: (permits) => inner.removeTokens(permits).catch(() => { throw new Denied('never fits'); }),
      async tryAcquire(permits) {
        if (!inner.tryRemoveTokens(permits)) throw new Denied();
      },
    };
  },
});
