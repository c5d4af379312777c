// tarn: `create`, `validate` and `destroy`; an acquire that waits can be aborted.
import { NoObject, serve } from './evenkeel_tck.mjs';
import { Pool, TimeoutError } from 'tarn';
import versions from './versions.mjs';

const NONE = 'there is no such thing';
const LONG = 2 ** 31 - 1; // the most that a timer can express

serve({
  library: 'tarn', version: versions.tarn, can: ['cancel'],
  pools: {
    'create': true, 'acquire time-out': true, 'create time-out': true, 'check': true, 'LIFO': true, 'idle time-out': true,
    'close': true, 'close waits': true, 'count objects': true, 'count waiters': true, 'check time-out': 'a check has the time of an acquire',
    'deadline': NONE, 'validate after': NONE, 'broken': '`validate` is asked at the next acquire', 'reset': NONE, 'fatal errors': NONE,
    'max creating': NONE, 'owned leases': 'a pool ends by `destroy`', 'discard': NONE, 'detach': NONE, 'FIFO': NONE,
    'min idle': '`min` is what the idle time-out leaves, used ones included', 'max lifetime': NONE, 'warm': NONE, 'resize': NONE,
    'retire all': NONE, 'try get': NONE, 'close deadline': NONE, 'holders': NONE, 'deadlocks': NONE,
  },
  pool(s) {
    const creations = []; // an event of a creation has a number of its own
    const inner = new Pool({
      min: 0, max: s.max,
      create: async () => {
        const creation = creations.at(-1);
        return { object: await s.backend.create((step) => { creation.step = step; }) };
      },
      destroy: async ({ object }) => object.free(),
      ...(s.checks && { validate: async ({ object }) => { await object.check(); return true; } }),
      acquireTimeoutMillis: s.acquire_timeout ?? LONG, createTimeoutMillis: s.create_timeout ?? LONG,
      ...(s.idle_timeout === null ? { idleTimeoutMillis: LONG, reapIntervalMillis: LONG } : { idleTimeoutMillis: s.idle_timeout }),
    });
    inner.on('createRequest', (id) => creations.push({ id }));
    inner.on('createFail', (id, error) => {
      // A promise hears nothing of it.
      if (error instanceof TimeoutError) s.backend.dropped(creations.find((one) => one.id === id).step);
    });
    return {
      async get({ signal }) {
        const acquire = inner.acquire();
        signal.addEventListener('abort', () => acquire.abort());
        try {
          return await acquire.promise;
        } catch (error) {
          if (error.message === 'aborted' && !signal.aborted) throw new NoObject('closed');
          if (!(error instanceof TimeoutError)) throw error;
          throw new NoObject('timeout', error.message.startsWith('operation timed out') ? null : error.message);
        }
      },
      release: (resource) => inner.release(resource),
      async close() { await inner.destroy(); },
      snapshot: () => ({
        size: inner.numUsed() + inner.numFree() + inner.numPendingCreates(), idle: inner.numFree(), waiting: inner.numPendingAcquires(),
      }),
      end: () => inner.destroy(),
    };
  },
});
