// bottleneck: `minTime` for one at a time, `maxConcurrent`, or a reservoir, whose refill has steps of 250 ms by its documentation.
import { Denied, NotExpressible, serve } from './evenkeel_tck.mjs';
import Bottleneck from 'bottleneck';
import versions from './versions.mjs';

const NONE = 'there is no such thing';

function options({ limit, waits }) {
  if (limit.kind === 'concurrency') return { maxConcurrent: limit.limit };
  if (limit.permits === 1 && limit.burst === 1) return { minTime: limit.per };
  if (limit.per % 250 !== 0) throw new NotExpressible('a refill that is no multiple of 250 ms');
  return {
    reservoir: limit.burst, reservoirIncreaseAmount: limit.permits, reservoirIncreaseInterval: limit.per,
    reservoirIncreaseMaximum: limit.burst,
  };
}

serve({
  library: 'bottleneck', version: versions.bottleneck,
  limit: {
    'rate': true, 'concurrency': true, 'wait': true, 'weights': true, 'burst': true,
    'try': 'a job that may not wait is told so some milliseconds later', 'mixed': NONE, 'start empty': NONE, 'sliding': NONE,
    'retry after': NONE, 'never fits': NONE, 'deadline': NONE, 'max waiters': NONE, 'set rate': NONE, 'set burst': NONE,
    'set limit': NONE, 'refund': NONE, 'reserve': NONE, 'penalty': NONE, 'close': NONE, 'keys': NONE, 'count keys': NONE,
    'max keys': NONE, 'all of': NONE,
  },
  limiter(settings) {
    if (settings.also !== null) throw new NotExpressible('two limits');
    const inner = new Bottleneck(options(settings));
    return {
      acquire: (weight) => new Promise((granted, failed) => {
        inner.schedule({ weight }, () => new Promise((release) => {
          granted(release);
          if (settings.limit.kind !== 'concurrency') release();
        })).catch((error) => failed(error instanceof Bottleneck.BottleneckError ? new Denied('never fits') : error));
      }),
    };
  },
});
