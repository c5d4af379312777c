// generic-pool: `createPool` with a factory, `testOnBorrow` for checks, and `drain` and `clear` at the end.
import { NoObject, Refused, serve } from './evenkeel_tck.mjs';
import genericPool from 'generic-pool';
import versions from './versions.mjs';

const NONE = 'there is no such thing';

serve({
  library: 'generic-pool', version: versions['generic-pool'],
  pools: {
    'create': true, 'acquire time-out': true, 'check': true, 'discard': true, 'LIFO': true, 'FIFO': true, 'idle time-out': true,
    'close': true, 'close waits': true, 'count objects': true, 'count waiters': true, 'create time-out': NONE, 'check time-out': NONE,
    'deadline': NONE, 'validate after': NONE, 'broken': NONE, 'reset': NONE, 'fatal errors': NONE, 'max creating': NONE,
    'owned leases': 'a pool ends by `drain` and `clear`', 'detach': NONE, 'min idle': '`min` is for all resources, used ones included',
    'max lifetime': NONE, 'warm': NONE, 'resize': NONE, 'retire all': NONE, 'try get': NONE, 'close deadline': NONE, 'holders': NONE,
    'deadlocks': NONE,
  },
  pool(s) {
    const factory = {
      create: async () => ({ object: await s.backend.create() }),
      destroy: async ({ object }) => object.free(),
      validate: async ({ object }) => {
        try {
          await object.check();
          return true;
        } catch (error) {
          if (error instanceof Refused) return false;
          throw error;
        }
      },
    };
    const inner = genericPool.createPool(factory, {
      max: s.max, fifo: s.order !== 'lifo', testOnBorrow: s.checks,
      ...(s.acquire_timeout !== null && { acquireTimeoutMillis: s.acquire_timeout }),
      ...(s.idle_timeout !== null && { idleTimeoutMillis: s.idle_timeout, evictionRunIntervalMillis: 1000 }),
    });
    const close = () => inner.drain().then(() => inner.clear());
    return {
      async get() {
        try {
          return await inner.acquire();
        } catch (error) {
          if (error.name === 'TimeoutError') throw new NoObject('timeout');
          throw error.message.startsWith('pool is draining') ? new NoObject('closed') : error;
        }
      },
      release: (resource) => inner.release(resource),
      discard: (resource) => inner.destroy(resource),
      async close() { await close(); },
      snapshot: () => ({ size: inner.size, idle: inner.available, waiting: inner.pending }),
      end: close,
    };
  },
});
