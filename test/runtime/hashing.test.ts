import { availableParallelism } from 'node:os';
import { expect } from 'chai';
import { isTollgateError } from '../../lib/index.js';
import { compare, hash } from '../../lib/runtime/hashing.js';
import { type HashingClient, HashingQueue } from '../../lib/runtime/hashing-queue.js';
import { times } from '../support/world.js';

const cheap = 4;
const limits = { threads: 1, places: 16, placesPerNetwork: 4 };

const network = (index: number): HashingClient => ({ network: `10.0.${index}.0/24` });
const known: HashingClient = { knownDevice: true, network: '10.1.0.0/24' };

/** A queue before the real threads, which notes the jobs in the order in which they began. */
function startQueue() {
  const queue = new HashingQueue(limits);
  const begun: string[] = [];
  const run = (name: string, client?: HashingClient): Promise<string> => {
    const work = () => {
      begun.push(name);
      return hash(name, cheap);
    };
    return queue.run(work, client).then(() => 'done', codeOf);
  };
  return { run, begun };
}

const codeOf = (error: unknown): string => (isTollgateError(error) ? error.code : String(error));

const countOf = (outcomes: readonly string[], wanted: string): number =>
  outcomes.filter((outcome) => outcome === wanted).length;

describe('hashing in threads', () => {
  it('tells the password that was hashed from any other, whatever was hashed cheaper', async () => {
    const hashed = await hash('lovelace', cheap);

    expect(hashed).to.match(/^\$2b\$04\$.{53}$/);
    expect(await compare('lovelace', hashed, cheap)).to.equal(true);
    expect(await compare('lovelace', hashed, cheap + 3)).to.equal(true);
    expect(await compare('babbage', hashed, cheap)).to.equal(false);
    expect(await compare('babbage', hashed, cheap + 3)).to.equal(false);
  });

  it('leaves the event loop to other requests', async () => {
    let turns = 0;
    let over = false;
    const count = () => {
      turns += 1;
      if (!over) setImmediate(count);
    };
    count();

    await Promise.all(times(8, () => hash('lovelace', 8)));
    over = true;

    expect(turns).to.be.greaterThan(100);
  });

  it('refuses with overloaded what finds no place, and is ready again when the others are done', async () => {
    const attempts = times(2_000, () => hash('lovelace', cheap).then(() => 'done', codeOf));
    const outcomes = await Promise.all(attempts);

    const served = availableParallelism() * (1 + 16); // running, and waiting in the half for strangers
    expect(countOf(outcomes, 'done')).to.equal(served);
    expect(countOf(outcomes, 'overloaded')).to.equal(2_000 - served);
    expect(await hash('lovelace', cheap)).to.match(/^\$2b\$04\$/);
  });

  it('goes on after a job that fails', async () => {
    const queue = new HashingQueue(limits);
    const failing = queue.run(() => hash('lovelace', Number.NaN)).catch((error: Error) => error.message);
    const next = queue.run(() => hash('lovelace', cheap));

    expect(await failing).to.be.a('string');
    expect(await next).to.match(/^\$2b\$04\$/);
  });
});

describe('the queue for hashing', () => {
  it('lets one network have few places, and refuses the rest of a flood from it', async () => {
    const { run } = startQueue();

    const outcomes = await Promise.all(times(100, (index) => run(`flood ${index}`, network(1))));

    expect(countOf(outcomes, 'done')).to.equal(1 + limits.placesPerNetwork);
    expect(countOf(outcomes, 'overloaded')).to.equal(99 - limits.placesPerNetwork);
  });

  it('keeps half of the places for known devices, however many strangers come from everywhere', async () => {
    const { run } = startQueue();

    const strangers = times(100, (index) => run(`stranger ${index}`, network(index)));
    const friends = times(9, (index) => run(`friend ${index}`, known));

    expect(countOf(await Promise.all(strangers), 'done')).to.equal(1 + 8);
    expect(await Promise.all(friends)).to.deep.equal([...times(8, () => 'done'), 'overloaded']);
  });

  it('keeps the other half for strangers', async () => {
    const { run } = startQueue();

    const friends = times(100, (index) => run(`friend ${index}`, known));
    const strangers = times(8, (index) => run(`stranger ${index}`, network(index)));

    expect(countOf(await Promise.all(friends), 'done')).to.equal(1 + 8);
    expect(await Promise.all(strangers)).to.deep.equal(times(8, () => 'done'));
  });

  it('gives a newcomer the newest place of the network that has most, once all are taken', async () => {
    const { run } = startQueue();
    const first = run('first', network(1));
    const flood = [1, 2].map((index) => times(4, (turn) => run(`${index}.${turn}`, network(index))));

    const newcomers = [3, 4, 5].map((index) => run('newcomer', network(index)));

    expect(await Promise.all([first, ...newcomers])).to.deep.equal(times(4, () => 'done'));
    const [one, two] = (await Promise.all(flood.map((jobs) => Promise.all(jobs)))) as [string[], string[]];
    expect(one).to.deep.equal(['done', 'done', 'overloaded', 'overloaded']);
    expect(two).to.deep.equal(['done', 'done', 'done', 'overloaded']);
  });

  it('takes no place from a network that has no more than the newcomer would', async () => {
    const { run } = startQueue();
    const first = run('first', network(0));
    const waiting = times(8, (index) => run('waiting', network(index)));

    expect(await run('newcomer', network(9))).to.equal('overloaded');

    expect(await Promise.all([first, ...waiting])).to.deep.equal(times(9, () => 'done'));
  });

  it('lets networks take turns, and within one the oldest go first', async () => {
    const { run, begun } = startQueue();

    await Promise.all([
      run('first', network(1)),
      ...['a', 'b', 'c'].map((name) => run(name, network(1))),
      run('d', network(2)),
      ...['e', 'f'].map((name) => run(name, network(3))),
    ]);

    expect(begun).to.deep.equal(['first', 'a', 'd', 'e', 'b', 'f', 'c']);
  });

  it('serves known devices first, and after three of them a stranger', async () => {
    const { run, begun } = startQueue();

    await Promise.all([
      run('first', network(1)),
      ...['s', 't', 'u'].map((name) => run(name, network(1))),
      ...times(7, (index) => run(`k${index}`, known)),
    ]);

    const order = ['first', 'k0', 'k1', 'k2', 's', 'k3', 'k4', 'k5', 't', 'k6', 'u'];
    expect(begun).to.deep.equal(order);
  });

  it('runs as many jobs at once as there are threads, and no more', async () => {
    const queue = new HashingQueue({ ...limits, threads: 3 });
    let now = 0;
    let most = 0;
    const work = async () => {
      now += 1;
      most = Math.max(most, now);
      await hash('lovelace', cheap);
      now -= 1;
    };

    await Promise.all(times(11, () => queue.run(work)));

    expect(most).to.equal(3);
  });
});
