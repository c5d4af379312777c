// node:test: mock timers, which move by hand.
import { mock } from 'node:test';
import { serve } from './evenkeel_tck_kit.mjs';

const NONE = 'there is no such thing';

serve({
  library: 'node:test', version: process.versions.node,
  testkit: {
    'moves by hand': true,
    'runs tests': 'its mock timers are the clock of a test',
    'virtual time': 'it moves by hand alone', 'sockets': NONE, 'hold': NONE, 'settle': NONE, 'limit of real time': NONE,
    'blocked threads': NONE, 'leaks': 'timers that are left are dropped', 'cuts': NONE, 'fake server': NONE, 'expected calls': NONE,
    'recorded calls': NONE, 'resets': NONE, 'cut bodies': NONE, 'latency': NONE, 'seeds': NONE,
  },
  async run(test) {
    mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'setImmediate', 'Date'] });
    try {
      await test();
    } finally {
      mock.timers.reset();
    }
  },
  controls: { async move(ms) { mock.timers.tick(ms); } },
});
