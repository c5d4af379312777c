// p-queue: jobs of a queue with a concurrency; and a map, by its answer to backpressure.
import { serve } from './evenkeel_tck.mjs';
import PQueue from 'p-queue';
import versions from './versions.mjs';

const NONE = 'there is no such thing';

serve({
  library: 'p-queue', version: versions['p-queue'],
  stream: {
    'map': true, 'unordered results': true, 'collect all': true, 'panics as results': true, 'queue': true, 'join': true, 'workers': true,
    'ordered results': 'results come with the promises of their jobs', 'fail fast': '`onError` tells, and the queue goes on',
    'stream': 'results come with the promises of their jobs', 'pop': 'it runs its jobs itself', 'parallel': 'one thread',
    'hand back': 'a job may be added anew', 'close now': '`clear` rejects the promises of the jobs', 'close': NONE,
    ...Object.fromEntries([
      'source errors', 'keys', 'batch', 'batch time', 'batch weight', 'batch until', 'batch rest', 'merge', 'add sources',
      'end with producers', 'end with consumers', 'several consumers', 'queue weight', 'pages', 'prefetch', 'generate',
    ].map((name) => [name, NONE])),
  },
  operator({ kind, limit, capacity }) {
    if (kind === 'queue') return () => queue(capacity);
    new PQueue({ concurrency: limit }); // options are checked by a call
    return async (source, consumer) => {
      const [jobs, taken] = [new PQueue({ concurrency: limit }), []];
      for await (const item of source) {
        await jobs.onSizeLessThan(1);
        taken.push(jobs.add(() => item.run()).then(consumer.take, consumer.failed));
      }
      await Promise.all(taken);
    };
  },
});

function queue(capacity) {
  const [jobs, errors, left] = [new PQueue({ autoStart: false }), [], []];
  return {
    async push(item) {
      await jobs.onSizeLessThan(capacity);
      const told = (error) => { if (error.name === 'AbortError') left.push(item); else errors.push(error); };
      jobs.add(() => item.run()).catch(told);
    },
    join: () => jobs.onIdle(),
    async workers(number, closeAfter) {
      jobs.concurrency = number;
      jobs.start();
      // The nearest to a close: `clear` drops the jobs that have not begun, and `onIdle` waits for the others.
      const close = closeAfter === null ? null : setTimeout(() => jobs.clear(), closeAfter);
      await jobs.onIdle();
      clearTimeout(close);
      return [errors, left];
    },
  };
}
