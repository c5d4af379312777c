// Puts a Node library to the rules of evenkeel-tck: the virtual clock and the protocol, so that an adapter is a few lines.
//
// One file on purpose, long as it is: it is copied beside the adapter.
//
// Import it before the library, which may keep `setTimeout` under a name of its own:
//
//     import { Failure, serve } from './evenkeel_tck.mjs';
//     import pRetry from 'p-retry';
//
//     serve({
//       library: 'p-retry', version: '9.0.0', can: ['cancel'], retry: { jitter: 'not in this example' },
//       policy: (settings) => (operation, signal) => pRetry(operation, {
//         retries: settings.max_attempts - 1, minTimeout: settings.initial, maxTimeout: settings.cap,
//         factor: settings.factor ?? 1, shouldRetry: ({ error }) => error.hint !== 'permanent', signal,
//       }),
//     });
//
// A limit, with `limit: {...}` for its capabilities; `per` in `settings.limit` and `settings.also` is in milliseconds:
//
//       limiter: ({ limit, also }) => {
//         if (limit.kind !== 'bucket' || also) throw new NotExpressible('other limits than one bucket');
//         const bucket = new Bucket(limit.permits, limit.per, limit.burst);
//         return {
//           async acquire(permits) { await bucket.take(permits); return () => {}; }, // to call when the permits come back
//           tryAcquire(permits) { if (!bucket.tryTake(permits)) throw new Denied('busy'); return () => {}; },
//         };
//       },
//
// `Denied` has one of the reasons busy (with `retryAfter`, in milliseconds), never fits, queue full, deadline and closed.
//
// Times in settings and errors are milliseconds. Timers are whole milliseconds, as Node's are, and exact in them. Not covered:
// `setTimeout` and `setInterval` of `node:timers/promises`, `AbortSignal.timeout`, worker threads, real input and output. Node 20 and newer; nothing else is needed.

import { existsSync, realpathSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { createInterface } from 'node:readline';
import timers from 'node:timers';
import promised from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const MS = 1_000_000;
const LONGEST = 2 ** 31 - 1;
const HOUR = 3_600_000 * MS;
const TICKS = 50_000; // times at which timers fire after the end of the pools, within the hour: what is there then is there for good
const SPIN = 50_000; // timers of one time: beyond 2^53 ms a float has no milliseconds, and an interval does not move it
const turn = globalThis.setImmediate; // the real one: all promises are done when it is called
const write = process.stdout.write.bind(process.stdout);
const wall = Date.now();
// The driver and the adapter.
const OWN = [import.meta.url, ...process.argv.slice(1, 2).filter(existsSync).map((file) => pathToFileURL(realpathSync(file)).href)];

// The output is for lines alone: what a library prints goes to the errors.
process.stdout.write = process.stderr.write.bind(process.stderr);

/** The error of an attempt. `hint` is as in the protocol; `after` is the wait that it asks for, or null. As with real errors, the message does not tell the attempt. */
export class Failure extends Error {
  constructor(attempt, hint, after) {
    super(hint);
    Object.assign(this, { attempt, hint, after });
  }
}

/** The library has no words for these settings; the text names them. */
export class NotExpressible extends Error {}

/** A call has ended without the error of an attempt, or with a reason. */
export class GaveUp extends Error {
  constructor(last = null, reason = null) {
    super(reason ?? 'gave up');
    Object.assign(this, { last, reason });
  }
}

/** A request is refused: busy, never fits, queue full, deadline or closed. */
export class Denied extends Error {
  constructor(reason = 'busy', retryAfter = null) {
    super(reason);
    Object.assign(this, { reason, retryAfter });
  }
}

/** A creation, a check or a reset is refused. `kind` is single, transient or fatal. */
export class Refused extends Error {
  constructor(says, kind) {
    super(says);
    this.kind = kind;
  }
}

/** An error that nobody has foreseen. */
export class Unforeseen extends Error {}

/** A get ends without an object: timeout, create timeout, create, panic, closed or deadlock; `says` is the error behind it, or null. */
export class NoObject extends Error {
  constructor(reason, says = null) {
    super(reason);
    Object.assign(this, { reason, says });
  }
}

export const clock = { now: 0, timers: [], set: 0, hasWall: false };

class Timeout {
  constructor(due, every, run) { Object.assign(this, { due, every, run, number: ++clock.set }); }
  ref() { this.isUnref = false; return this; }
  unref() { this.isUnref = true; return this; }
  hasRef() { return !this.isUnref; }
  close() { clear(this); return this; }
  refresh() {
    this.due = clock.now + this.length;
    if (!clock.timers.includes(this)) clock.timers.push(this);
    return this;
  }
  [Symbol.toPrimitive]() { return this.number; }
  [Symbol.dispose]() { clear(this); }
}

// As Node does it: whole milliseconds, at least one, and one where there are too many.
const length = (delay) => (delay >= 1 && delay <= LONGEST ? Math.trunc(delay) : 1) * MS;

function set(isRepeated, callback, delay, ...args) {
  const time = length(+delay);
  const timer = new Timeout(clock.now + time, isRepeated ? time : 0, () => callback(...args));
  timer.length = time;
  clock.timers.push(timer);
  return timer;
}

function clear(timer) {
  clock.timers = clock.timers.filter((one) => one !== timer && one.number !== Number(timer ?? 0));
}

// The wall clock stands still: it may be set at any time, and no limit is to be measured on it. In rules about pools it goes.
const RealDate = Date;
globalThis.Date = class Date extends RealDate {
  constructor(...args) { args.length ? super(...args) : super(Date.now()); }
  static now() { return wall + (clock.hasWall ? Math.floor(clock.now / MS) : 0); }
};
Object.defineProperty(performance, 'now', { value: () => clock.now / MS });
process.hrtime = Object.assign(
  ([seconds, nanos] = [0, 0]) => {
    const passed = clock.now - (seconds * 1e9 + nanos);
    return [Math.floor(passed / 1e9), passed % 1e9];
  },
  { bigint: () => BigInt(clock.now) },
);
globalThis.setTimeout = (...args) => set(false, ...args);
globalThis.setInterval = (...args) => set(true, ...args);
globalThis.clearTimeout = globalThis.clearInterval = clear;
let immediates = 0; // that the library has set since the last look, by any of its names
const counted = (set) => (...args) => {
  immediates += 1;
  return set(...args);
};
globalThis.setImmediate = Object.assign(counted(turn), { [promisify.custom]: (value) => new Promise((done) => { globalThis.setImmediate(done, value); }) });
const { setTimeout, setInterval, clearTimeout, clearInterval } = globalThis;
Object.assign(timers, { setTimeout, setInterval, clearTimeout, clearInterval, setImmediate: globalThis.setImmediate });
promised.setImmediate = counted(promised.setImmediate);
promised.scheduler.yield = counted(promised.scheduler.yield.bind(promised.scheduler));
syncBuiltinESMExports();

// Once for the promises, and once more for what they have left to `setImmediate`: where they have left nothing, that is half of the time of
// a library whose timer ticks on for a week.
export async function settle() {
  await new Promise((done) => turn(done));
  if (immediates > 0) await new Promise((done) => turn(done));
  immediates = 0;
}

/** The time of the next timer, in nanoseconds; infinite if there is none. */
export const next = () => clock.timers.reduce((least, timer) => Math.min(least, timer.due), Infinity);

/** Fires the timers that are due at this time, one after another, and lets promises run between them, as Node does. */
export async function fire(due) {
  for (let count = 0; next() <= due; count++) {
    if (count > SPIN) throw new Error(`${SPIN} timers without an end, at ${clock.now} ns`);
    const timer = clock.timers.reduce((a, b) => (b.due - a.due || b.number - a.number) < 0 ? b : a);
    if (timer.every) Object.assign(timer, { due: clock.now + timer.every, number: ++clock.set });
    else clear(timer);
    timer.run();
    await settle();
  }
}

/** Fires one timer after another, each at its time, before `until` or now; stops when something has happened. */
export async function runUntil(until, hasHappened) {
  while (!hasHappened()) {
    const due = next();
    if (due >= until && due > clock.now) break;
    clock.now = Math.max(clock.now, due);
    await fire(clock.now);
  }
  if (!hasHappened()) clock.now = Math.max(clock.now, until);
}

const time = (nanos) => (nanos < 2 ** 53 ? nanos : String(BigInt(nanos)));
const millis = (nanos) => (nanos === null || nanos === undefined ? null : Number(nanos) / MS);
// A time of the library; one below zero, or that is no number, is none.
const nanos = (ms) => (ms > 0 ? time(Math.min(Math.round(ms * MS), 1e28)) : 0);
const said = (error) => `${error?.name ?? 'thrown'}: ${error?.message ?? error}`.slice(0, 300);

const TIMES = new Set([
  'initial', 'cap', 'total_timeout', 'attempt_timeout', 'deadline', 'reset_after', 'max_retry_after', 'stop_after', 'per',
  'within',
  'acquire_timeout', 'create_timeout', 'check_timeout', 'validate_after', 'idle_timeout', 'max_lifetime',
]);

function settingsOf(value) {
  return Object.fromEntries(Object.entries(value).map(([name, member]) => {
    if (TIMES.has(name)) return [name, millis(member)];
    if (name === 'factor' && typeof member === 'string') return [name, Number(member)];
    return [name, member !== null && typeof member === 'object' ? settingsOf(member) : member];
  }));
}

// Messages behind which the next one follows before anything else can run.
const AT_ONCE = new Set(['get', 'warm', 'close_pool', 'return', 'discard', 'ended', 'break', 'destructor']);

/** The part of a rule about pools: gets, leases, and the backend of each pool. */
class Pools {
  backends = new Map();
  pools = [];

  async pool({ id, settings }) {
    const backend = new Backend(this, settings.backend);
    this.backends.set(settings.backend, backend);
    clock.hasWall = true;
    await this.make({ id, settings }, async (settings) => {
      const pool = await this.adapter.pool({ ...settings, backend });
      this.pools.push(pool);
      return pool;
    });
  }

  get({ id, pool, deadline }) {
    this.waiting.set(id, async () => {
      const stop = new AbortController();
      this.stops.set(id, stop);
      const inner = this.made.get(pool);
      try {
        const resource = await inner.get({ deadline: millis(deadline), signal: stop.signal });
        const lease = Object.assign(() => inner.release(resource), { inner, resource });
        if (this.cancelled.has(id)) { // it has got an object all the same
          lease();
          return this.say('end', { id, cancelled: true });
        }
        this.held.set(id, lease);
        this.say('got', { id, object: resource.object.number });
      } catch (error) {
        const denied = (reason, says = error.message) => this.say('denied', { id, reason, says });
        if (this.cancelled.has(id)) this.say('end', { id, cancelled: true });
        else if (error instanceof NoObject) denied(error.reason, error.says);
        else if (error instanceof Refused) denied('create');
        else if (error instanceof Unforeseen) denied('panic');
        else this.say('broken', { says: `a get ends by ${said(error)}` });
      }
    });
  }

  close_pool({ id, pool, within }) {
    this.waiting.set(id, async () => {
      try {
        const leases = (await this.made.get(pool).close({ within: millis(within) })) ?? 0;
        this.say('closed', { id, leases });
      } catch (error) {
        this.say('broken', { says: `a close ends by ${said(error)}` });
      }
    });
  }

  warm({ id, pool, objects }) {
    this.waiting.set(id, async () => {
      try {
        await this.made.get(pool).warm(objects);
        this.say('done', { id });
      } catch (error) {
        this.say('broken', { says: `a warm-up ends by ${said(error)}` });
      }
    });
  }

  take({ id, pool }) {
    const inner = this.made.get(pool);
    const resource = inner.take();
    if (resource === null) return this.say('none', { id });
    this.held.set(id, Object.assign(() => inner.release(resource), { inner, resource }));
    this.say('got', { id, object: resource.object.number });
  }

  return({ id }) { this.background(() => this.release({ id })); }
  discard({ id }) { this.endLease(id, 'discard'); }

  detach({ id }) {
    this.held.get(id).resource.object.isFree = true; // it is its user's
    this.endLease(id, 'detach');
  }

  endLease(id, how) {
    const { inner, resource } = this.held.get(id);
    this.held.delete(id);
    this.background(() => inner[how](resource));
  }

  /** What a caller has begun, and nobody waits for. Its error is that of its caller. */
  async background(work) {
    try {
      await work();
    } catch (error) {
      console.error('ignored:', said(error));
    }
  }

  resize({ pool, max }) { this.background(() => this.made.get(pool).resize(max)); }
  retire({ pool }) { this.background(() => this.made.get(pool).retire()); }
  snapshot({ id, pool }) { this.say('snapshot', { id, ...this.made.get(pool).snapshot() }); }
  drop_pool({ pool }) { this.made.delete(pool); }
  ended(message) { this.backends.get(message.backend).ended(message); }
  break({ backend, object }) { this.backends.get(backend).objects.get(object).isBroken = true; }

  destructor({ backend, object, does, pool }) {
    this.backends.get(backend).objects.get(object).destructor = does === 'panics' ? panics : () => {
      const stop = new AbortController();
      const inner = this.made.get(pool);
      inner.get({ deadline: null, signal: stop.signal }).then((resource) => inner.release(resource), () => {});
      stop.abort();
    };
  }

  /** Ends the pools, as their user would at the end of a program. No timer and no object may be left then. */
  async endPools() {
    if (this.backends.size === 0) return;
    const begun = clock.now;
    for (const backend of this.backends.values()) backend.recover();
    let [left, ticks] = [this.pools.length, 0];
    const isEnough = () => ++ticks > TICKS;
    for (const pool of this.pools) this.background(() => pool.end()).then(() => left--);
    try {
      await settle();
      await runUntil(begun + HOUR, () => left === 0 || isEnough());
      await runUntil(begun + HOUR, isEnough);
      await settle();
    } catch (error) { // told here, since `say` tells nothing any more
      clock.now = begun;
      this.events.push({ event: 'failed', says: `at the end of the pools: ${said(error)}` });
      return;
    }
    const alive = [...this.backends.values()].flatMap((backend) => [...backend.objects.values()]).filter((one) => !one.isFree);
    const set = clock.timers.filter((timer) => !timer.isUnref);
    const when = clock.now < begun + HOUR ? `${TICKS} ticks of timers` : 'an hour';
    clock.now = begun;
    if (alive.length + set.length === 0) return;
    const names = [...alive.map((one) => `object ${one.number}`), ...set.map((timer) => `a timer of ${timer.length / MS} ms`)];
    this.events.push({ event: 'failed', says: `left alive ${when} after the end: ${names.join(', ')}` });
  }
}

/** Everything that one rule has made. */
export class Rule extends Pools {
  events = [];
  made = new Map();
  waiting = new Map();
  stops = new Map();
  held = new Map();
  answers = new Map();
  cancelled = new Set();
  isOver = false;
  streams = new Streams(this);

  constructor(adapter) {
    super();
    this.adapter = adapter;
    Object.assign(clock, { now: 0, timers: [], hasWall: false });
  }

  say(event, members) {
    if (!this.isOver) this.events.push({ event, ...members });
  }

  async play({ at, until, messages }) {
    [at, until] = [Number(at), Number(until)];
    if (at > clock.now) {
      clock.now = at;
      await fire(at - 1);
    }
    for (const message of messages) {
      const isAtOnce = AT_ONCE.has(message.do);
      try {
        const part = this.streams.has(message) ? this.streams : this;
        const done = part[message.do](message);
        if (!isAtOnce) await done;
      } catch (error) {
        this.say('broken', { says: `${JSON.stringify(message)}: ${said(error)}` });
      }
      if (!isAtOnce) await settle();
    }
    await settle();
    if (!this.isOver) await runUntil(until, () => this.events.length > 0);
  }

  begin() {}

  async end() {
    for (const stop of this.stops.values()) stop.abort();
    this.isOver = true;
    await this.endPools();
    clock.timers = [];
  }

  async make({ id, settings }, make) {
    try {
      this.made.set(id, await make(settingsOf(settings)));
      this.say('configured', { id });
    } catch (error) {
      if (error instanceof NotExpressible) this.say('not expressible', { id, says: error.message });
      else this.refused(id, error);
    }
  }

  /** Settings end by an error: the library refuses them, unless the adapter itself has taken what is not there, and not asked it. */
  refused(id, error) {
    const place = /^ +at .*/m.exec(error?.stack)?.[0] ?? '';
    const isFault = error instanceof TypeError || error instanceof ReferenceError;
    if (isFault && OWN.some((file) => place.includes(file))) {
      this.say('broken', { says: `the adapter fails at these settings: ${said(error)}` });
    } else {
      this.say('refused', { id, says: said(error) });
    }
  }

  policy(message) { return this.make(message, this.adapter.policy); }
  limiter(message) { return this.make(message, this.adapter.limiter); }

  operation(id) {
    let attempts = 0;
    const responses = new Map();
    const attempt = async () => {
      const number = ++attempts;
      this.say('attempt', { id, attempt: number });
      const { outcome, hint, after } = await new Promise((done) => this.answers.set(`${id}/${number}`, done));
      if (outcome === 'error') throw new Failure(number, hint, millis(after));
      if (outcome === 'response') responses.set(number, { hint, after: millis(after) });
      return number;
    };
    // The `hint` of a response that counts as a failure, and the wait `after` that it asks for; a retry, from the library's
    // hook, with its delay, or null if the hook is told none; the key of the next attempt.
    attempt.judge = (value) => responses.get(value) ?? null;
    attempt.observed = (ms = null) => {
      if (ms !== null && (typeof ms !== 'number' || Number.isNaN(ms))) {
        return this.say('broken', { says: `the delay of a retry is ${ms}, and no number; a hook without a delay tells null` });
      }
      return this.say('observed', { id, delay: ms === null ? null : nanos(ms) });
    };
    attempt.keyed = (key) => this.say('keyed', { id, key: String(key) });
    return attempt;
  }

  // A promise begins when it is made: calls and requests begin when they are awaited.
  call({ id, policy }) { this.waiting.set(id, () => this.run(id, policy)); }
  acquire(message) { this.waiting.set(message.id, () => this.ask(message, 'acquire')); }
  reserve(message) { this.waiting.set(message.id, () => this.ask(message, 'reserve')); }
  try(message) { this.ask(message, 'tryAcquire'); }

  start({ id }) {
    this.waiting.get(id)();
    this.waiting.delete(id);
  }

  async run(id, policy) {
    const stop = new AbortController();
    this.stops.set(id, stop);
    try {
      const ok = await this.made.get(policy)(this.operation(id), stop.signal);
      if (Number.isInteger(ok)) this.say('end', { id, ok });
      else this.say('broken', { says: `the value of a call is ${ok}` });
    } catch (error) {
      if (error instanceof Failure) this.say('end', { id, error: error.attempt });
      else if (error instanceof GaveUp) this.say('end', { id, error: error.last?.attempt ?? null, reason: error.reason });
      else if (this.cancelled.has(id)) this.say('end', { id, cancelled: true });
      else this.say('broken', { says: `a call ends by ${said(error)}` });
    }
  }

  async ask({ id, limiter, permits, key, deadline }, how) {
    const stop = new AbortController();
    this.stops.set(id, stop);
    try {
      const options = { key, deadline: millis(deadline), signal: stop.signal };
      this.held.set(id, await this.made.get(limiter)[how](permits, options));
      if (!this.cancelled.has(id)) return this.say('granted', { id });
      this.release({ id }); // it was granted all the same
      this.say('end', { id, cancelled: true });
    } catch (error) {
      if (error instanceof Denied) {
        const after = error.retryAfter === null ? null : nanos(error.retryAfter);
        this.say('denied', { id, reason: error.reason, retry_after: after });
      } else if (this.cancelled.has(id)) this.say('end', { id, cancelled: true });
      else this.say('broken', { says: `a request ends by ${said(error)}` });
    }
  }

  cancel({ id }) {
    this.cancelled.add(id);
    if (this.waiting.delete(id)) this.say('end', { id, cancelled: true });
    else if (this.held.has(id)) this.release({ id });
    else this.stops.get(id)?.abort();
  }

  result(message) {
    const answer = this.answers.get(`${message.id}/${message.attempt}`);
    this.answers.delete(`${message.id}/${message.attempt}`);
    answer(message);
  }

  release({ id }) {
    const held = this.held.get(id);
    this.held.delete(id);
    if (typeof held === 'function') held();
  }

  settle({ id, used }) {
    this.held.get(id)(used);
    this.held.delete(id);
  }

  change({ limiter, ...change }) {
    for (const name of ['rate', 'burst', 'limit', 'refund', 'penalty', 'close']) {
      const value = change[name] ?? null;
      if (value === null) continue;
      this.made.get(limiter).change(name, name === 'rate' ? settingsOf(value) : name === 'penalty' ? millis(value) : value);
    }
  }

  keys({ id, limiter }) { this.say('keys', { id, keys: this.made.get(limiter).keys() }); }
}

/** The error of an item, of a source or of a page, by its number. */
export class ItemError extends Error {
  constructor(number) {
    super(`error ${number}`);
    this.number = number;
  }
}

/** Where a rule asks for a panic: an error of another class. */
export class Panic extends ItemError {}

/** A queue takes no more items, or there will be no more. */
export class Closed extends Error {}

/** An item, with its `number`, `key`, `weight` and `ends_batch`. The function of a map calls `run()`, whose value is the number. */
class Item {
  #streams;

  constructor(streams, described) {
    this.#streams = streams;
    Object.assign(this, described);
  }

  run() {
    if (!this.panics_at_call) return this.#run();
    this.#streams.say('begin', { id: this.id });
    throw new Panic(this.number);
  }

  async #run() {
    const { outcome } = await this.#streams.ask('begin', this.id);
    this.#streams.say('ended', { id: this.id });
    if (outcome !== 'ok') throw new (outcome === 'panic' ? Panic : ItemError)(this.number);
    return this.number;
  }
}

/** The source of an operator: an async iterator of items, whose `return` closes it, also while it is asked. */
class Source {
  #hasEnded = false;
  #isClosed = false;
  #more = null;
  #last = Promise.resolve();

  constructor(streams, { id, give }) {
    Object.assign(this, { streams, id, steps: [...give] });
  }

  [Symbol.asyncIterator]() { return this; }

  give(steps) {
    this.steps.push(...steps);
    this.#more?.();
  }

  // As an async generator does, it answers one call after another.
  next() {
    if (this.#hasEnded) this.streams.say('asked again', { id: this.id });
    const answer = this.#last.then(() => this.#next());
    this.#last = answer.catch(() => {});
    return answer;
  }

  async #next() {
    const { streams: { say }, id } = this;
    while (!this.#isClosed && this.steps.length === 0) {
      say('pull', { id });
      await new Promise((done) => { this.#more = done; });
    }
    if (this.#isClosed) return { done: true, value: undefined };
    const step = this.steps.shift();
    say('given', { id });
    if (step.item) return { done: false, value: new Item(this.streams, step.item) };
    this.#hasEnded = 'end' in step;
    this.return();
    if (step.panic) throw new Panic(0);
    if ('error' in step) throw new ItemError(step.error);
    return { done: true, value: undefined };
  }

  async return() {
    if (!this.#isClosed) this.streams.say('dropped', { id: this.id });
    this.#isClosed = true;
    this.#more?.();
    return { done: true, value: undefined };
  }
}

/**
 * The part of streams and queues.
 *
 * `operator(settings)` returns a function for each `settings.kind`. For a map, a batch, a merge and a generator it takes the sources,
 * and returns an async iterable: of the numbers of a map, of items, or of arrays of items. For pages it takes `page(cursor)`, a promise
 * of `[items, next]`. A merge may have `add(source)` and `noMore()`. For a map without the capability `stream` it takes a source and a consumer, whose `take(number)` and
 * `failed(error)` are promises of whether the map is to end, and returns a promise.
 *
 * For a queue it takes nothing, and returns an object with those of the promises `push(item, signal)`, `pop(signal)` and
 * `join(signal)`, of `finish(item)`, `putBack(item)`, `producersGone()`, `consumersGone()`, `close()`, `closeNow()`, which returns
 * items, and of `workers(number, closeAfter)`, a promise of the errors and the items left, that it supports. `Closed` is its end.
 */
class Streams {
  answers = new Map();
  sources = new Map();
  outputs = new Map();
  queues = new Map();
  consumers = new Map();
  popped = new Map();
  waiting = new Map();
  stops = new Map();
  calls = 0;

  constructor(rule) {
    this.rule = rule;
    this.say = (event, members) => rule.say(event, members);
  }

  /** Whether a message is of this part. */
  has({ do: name, id }) {
    if (name === 'start') return this.waiting.has(id);
    if (name === 'cancel') return [this.waiting, this.stops, this.outputs].some((known) => known.has(id));
    if (name === 'release') return this.popped.has(id);
    if (name === 'result') return this.answers.has(`${id}/0`);
    return !['has', 'say', 'ask'].includes(name) && typeof this[name] === 'function';
  }

  /** Tells an event that the suite answers. */
  ask(event, id, call = 0, members = {}) {
    return new Promise((answered) => {
      this.answers.set(`${id}/${call}`, answered);
      this.say(event, { id, ...members });
    });
  }

  reply(message, call = 0) {
    this.answers.get(`${message.id}/${call}`)(message);
    this.answers.delete(`${message.id}/${call}`);
  }

  result(message) { this.reply(message); }
  page(message) { this.reply(message, message.call); }
  taken(message) { this.reply(message, message.take); }

  operator(message) { return this.rule.make(message, this.rule.adapter.operator); }

  source(described) {
    const source = new Source(this, described);
    this.sources.set(described.id, source);
    return source;
  }

  stream({ id, operator, sources, fetch }) {
    const make = this.rule.made.get(operator);
    if (fetch) return this.outputs.set(id, { iterable: make((cursor) => this.fetched(fetch, cursor)) });
    const given = sources.map((source) => this.source(source));
    if (make.length <= given.length) return this.outputs.set(id, { iterable: make(...given) });
    const take = async (result) => {
      const call = ++this.calls;
      return (await this.ask('take', id, call, { take: call, ...result })).stop;
    };
    const consumer = { take: (ok) => take({ ok }), failed: (error) => take(failureOf(error)) };
    return this.waiting.set(id, async () => {
      try {
        await make(...given, consumer);
        this.say('over', { id });
      } catch (error) {
        this.say('failure', { id, ...failureOf(error) });
      }
    });
  }

  async fetched(id, cursor) {
    const call = ++this.calls;
    const { items, next, error } = await this.ask('fetch', id, call, { call, cursor });
    if (error ?? null) throw new ItemError(error);
    return [items.map((item) => new Item(this, item)), next];
  }

  async next({ id }) {
    const output = this.outputs.get(id);
    (async () => {
      try {
        output.iterator ??= output.iterable[Symbol.asyncIterator]();
        const { done, value } = await output.iterator.next();
        if (done) this.say('over', { id });
        else this.say('value', { id, ...valueOf(value) });
      } catch (error) {
        this.say('failure', { id, ...failureOf(error) });
      }
    })();
  }

  give({ id, give }) { this.sources.get(id).give(give); }
  add({ id, source }) { this.outputs.get(id).iterable.add(this.source(source)); }
  rest({ id, of }) { this.items(id, this.outputs.get(of).iterable.rest()); }
  items(id, items) { this.say('items', { id, items: items.map((item) => item.id) }); }

  queue({ id, operator, consumer }) {
    try {
      const queue = this.rule.made.get(operator)();
      this.queues.set(id, queue);
      this.consumers.set(consumer, queue);
      this.say('configured', { id });
    } catch (error) {
      this.rule.refused(id, error);
    }
  }

  consumer({ id, of }) { this.consumers.set(id, this.consumers.get(of)); }

  push({ id, queue, item }) {
    const pushed = new Item(this, item);
    this.wait(id, (signal) => this.queues.get(queue).push(pushed, signal), () => this.say('pushed', { id }));
  }

  pop({ id, consumer }) {
    const queue = this.consumers.get(consumer);
    this.wait(id, (signal) => queue.pop(signal), (item) => {
      this.popped.set(id, { queue, item });
      this.say('popped', { id, item: item.id });
    }, 'over');
  }

  join({ id, queue }) {
    this.wait(id, (signal) => this.queues.get(queue).join(signal), () => this.say('joined', { id }));
  }

  workers({ id, consumer, number, close_after: closeAfter }) {
    const queue = this.consumers.get(consumer);
    this.wait(id, () => queue.workers(number, millis(closeAfter)), ([errors, left]) => {
      this.say('worked', { id, failures: errors.map(failureOf), unstarted: left.map((item) => item.id) });
    });
  }

  wait(id, wait, done, closed = 'rejected') {
    this.waiting.set(id, async () => {
      const stop = new AbortController();
      this.stops.set(id, stop);
      try {
        done(await wait(stop.signal));
      } catch (error) {
        if (error instanceof Closed) this.say(closed, { id, back: true });
        else if (stop.signal.aborted) this.say('end', { id, cancelled: true });
        else this.say('broken', { says: `a wait for a queue ends by ${said(error)}` });
      }
    });
  }

  start({ id }) {
    this.waiting.get(id)();
    this.waiting.delete(id);
  }

  cancel({ id }) {
    if (this.waiting.delete(id)) return;
    this.stops.get(id)?.abort();
    // Nobody waits for it: a source that is silent may hold it up.
    this.outputs.get(id)?.iterator?.return?.()?.catch?.(() => {});
    this.outputs.delete(id);
  }

  release({ id, panicked }) {
    const { queue, item } = this.popped.get(id);
    this.popped.delete(id);
    // A consumer that fails before it has said that the item is finished does not say so.
    if (!panicked) queue.finish?.(item);
  }

  ['put back']({ id }) {
    const { queue, item } = this.popped.get(id);
    this.popped.delete(id);
    queue.putBack(item);
  }

  drop({ id }) {
    if (this.outputs.has(id)) return this.outputs.get(id).iterable.noMore();
    if (this.queues.has(id)) return this.queues.get(id).producersGone();
    const queue = this.consumers.get(id);
    this.consumers.delete(id);
    if (![...this.consumers.values()].includes(queue)) queue.consumersGone();
  }

  close({ consumer }) { this.consumers.get(consumer).close(); }
  ['close now']({ id, consumer }) { this.items(id, this.consumers.get(consumer).closeNow()); }
}

const failureOf = (error) => (
  { kind: error instanceof Panic ? 'panic' : 'error', of: error?.number ?? null, says: said(error) }
);

function valueOf(value) {
  if (value instanceof Item) return { item: value.id };
  return Array.isArray(value) ? { items: value.map((item) => item.id) } : { ok: value };
}


/** Makes the objects of a pool, as the script of a rule says, which is on the suite's side. */
class Backend {
  objects = new Map();
  steps = 0;
  answers = new Map();

  constructor(rule, id) { Object.assign(this, { rule, id }); }

  /** Creates an object, or throws `Refused`, or another error that nobody has foreseen. `begins` is told the number of the step. */
  async create(begins = () => {}) {
    const number = this.objects.size + 1;
    const object = new PoolObject(this, number);
    this.objects.set(number, object);
    try {
      await this.step('create', number, begins);
    } catch (error) {
      object.isFree = true;
      throw error;
    }
    return object;
  }

  async step(what, number, begins = () => {}) {
    if (this.rule.isOver) return;
    const step = ++this.steps;
    begins(step);
    this.rule.say(what, { id: this.id, step, object: number });
    const { outcome, says, kind } = await new Promise((done) => this.answers.set(step, done));
    this.answers.delete(step);
    if (outcome === 'error') throw new Refused(says, kind);
    if (outcome === 'panic') throw new Unforeseen(says);
  }

  /** The library has given up a step, of which a promise hears nothing. */
  dropped(step) { this.rule.say('dropped', { id: this.id, step }); }

  ended({ step, ...end }) { this.answers.get(step)?.(end); }
  recover() { for (const step of [...this.answers.keys()]) this.ended({ step, outcome: 'ok' }); }
}

/** An object of a pool: `check()`, `reset()`, and `free()` when it is closed. `isBroken` is as its last user has found. */
class PoolObject {
  isBroken = false;
  isFree = false;
  destructor = null;

  constructor(backend, number) { Object.assign(this, { backend, number }); }

  check() { return this.backend.step('check', this.number); }
  reset() { return this.backend.step('reset', this.number); }

  free() {
    if (this.isFree) return;
    this.isFree = true;
    this.backend.rule.say('free', { id: this.backend.id, object: this.number });
    this.destructor?.();
  }
}

function panics() { throw new Unforeseen('the destructor panics'); }

/**
 * Answers the suite until it closes the input.
 *
 * `retry`, `limit` and `stream` are the capabilities, by their names, each with true or with the reason for which there is none. A policy is
 * made by `policy(settings)`, or by a promise of it: a function of an operation and an `AbortSignal`, which returns a promise. A limiter is made by
 * `limiter(settings)`: an object with those of `acquire(permits, { key, deadline, signal })`, `tryAcquire`, `reserve`,
 * `change(name, value)` and `keys()` that it supports. Granted permits are a function that gives them back, or anything else; a
 * refusal throws `Denied`. An operator is made by `operator(settings)`: see `Streams`. `can` is `['cancel']` if the library takes the signal.
 *
 * `pools` are the capabilities of pools. A pool is made by `pool(settings)`: an object with `get({ deadline, signal })`, a promise of what has
 * the object of the backend as its `object`, `release(resource)` and `end()`, which ends the pool with the rule, and with those of
 * `take()`, `discard(resource)`, `detach(resource)`, `warm(objects)`, `resize(max)`, `retire()`, `close({ within })` and `snapshot()` that
 * it supports. `settings.backend` has `create()`. A get without an object throws `NoObject`, or the error of its creation.
 */
export async function serve({ library, version, can = [], retry, limit, stream, pools, policy, limiter, operator, pool }) {
  const hello = {
    event: 'hello', protocol: 1, library, version, runtime: `Node ${process.versions.node}`, can,
    ...(retry && { retry }), ...(limit && { limit }), ...(stream && { stream }), ...(pools && { pool: pools }),
  };
  let rule = new Rule({ policy, limiter, operator, pool });
  // A promise that nobody awaits is the library's affair, and not the end of the adapter.
  process.on('unhandledRejection', (error) => console.error('unhandled:', said(error)));
  process.on('uncaughtException', (error) => console.error('uncaught:', said(error)));
  for await (const text of createInterface({ input: process.stdin })) {
    const line = JSON.parse(text);
    const first = line.messages[0]?.do;
    let { at } = line, events = [hello];
    if (first !== 'hello') {
      if (first === 'begin') rule = new Rule({ policy, limiter, operator, pool });
      try {
        await rule.play(line);
      } catch (error) {
        rule.say('failed', { says: error.message });
      }
      [at, events, rule.events] = [time(clock.now), rule.events, []];
    }
    write(JSON.stringify({ turn: line.turn, at, events }) + '\n');
  }
  process.exit();
}
