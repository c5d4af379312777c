// @sinonjs/fake-timers: timers that advance by themselves, and by hand.
import FakeTimers from '@sinonjs/fake-timers';
import { serve } from './evenkeel_tck_kit.mjs';
import versions from './versions.mjs';

const NONE = 'there is no such thing';
let clock;

serve({
  library: '@sinonjs/fake-timers', version: versions['@sinonjs/fake-timers'],
  testkit: {
    'virtual time': true, 'sockets': true, 'moves by hand': true,
    'runs tests': 'it is the clock of a test, which a test runner runs',
    'hold': NONE, 'settle': NONE, 'limit of real time': NONE, 'blocked threads': NONE,
    'leaks': 'timers that are left are dropped', 'cuts': NONE, 'fake server': NONE, 'expected calls': NONE, 'recorded calls': NONE,
    'resets': NONE, 'cut bodies': NONE, 'latency': NONE, 'seeds': NONE,
  },
  async run(test) {
    clock = FakeTimers.install();
    clock.setTickMode({ mode: 'nextAsync' });
    try {
      await test();
    } finally {
      clock.uninstall();
    }
  },
  // A test that moves the clock says so first.
  controls: {
    async move(ms) {
      clock.setTickMode({ mode: 'manual' });
      await clock.tickAsync(ms);
    },
  },
});
