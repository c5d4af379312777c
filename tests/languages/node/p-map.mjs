// p-map: `pMapIterable`, whose results are an async iterable, in order or not.
import { serve } from './evenkeel_tck.mjs';
import { pMapIterable } from 'p-map';
import versions from './versions.mjs';

const NONE = 'there is no such thing';

serve({
  library: 'p-map', version: versions['p-map'], can: ['lazy', 'cancel'],
  stream: {
    'map': true, 'ordered results': true, 'unordered results': true, 'fail fast': true, 'source errors': true, 'stream': true,
    'collect all': '`pMapSettled` has no stream', 'panics as results': '`pMapSettled` has no stream', 'parallel': 'one thread',
    ...Object.fromEntries([
      'keys', 'batch', 'batch time', 'batch weight', 'batch until', 'batch rest', 'merge', 'add sources', 'queue', 'pop',
      'end with producers', 'end with consumers', 'several consumers', 'close', 'close now', 'join', 'hand back', 'queue weight',
      'workers', 'pages', 'prefetch', 'generate',
    ].map((name) => [name, NONE])),
  },
  operator({ limit: concurrency, ordered: preserveOrder }) {
    pMapIterable([], () => {}, { concurrency }); // options are checked by a call
    return (source) => pMapIterable(source, (item) => item.run(), { concurrency, preserveOrder });
  },
});
