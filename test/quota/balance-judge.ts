import { isDeepStrictEqual } from 'node:util';
import type { Judge, Row } from './witness.js';

/** What a storm with balances plays by. */
export interface Play {
  /** Units that may be used beyond the limit. */
  readonly overage: number;
  /** Milliseconds of a period. */
  readonly period: number;
}

/** What units are taken from: the allowance, a balance, or what is allowed beyond both. */
interface Pool {
  readonly id: string;
  /** When it expires, in milliseconds. */
  readonly until: number;
  readonly left: number;
  readonly spent: number;
}

/** A counter, reckoned in pools. */
interface State {
  readonly used: number;
  readonly balances: ReadonlyMap<string, Pool>;
  readonly u: number;
  readonly o: number;
}

/** Those that the engine puts in the place of many which are used up. */
const merged = ['spent', 'over'];
const sumOf = (values: Iterable<number>): number => [...values].reduce((sum, value) => sum + value, 0);
const sizeOf = ({ left, spent }: Pool): number => left + spent;
const allOf = (balances: State['balances']): number => sumOf([...balances.values()].map(sizeOf));

/**
 * Looks at counters with balances, one write after the other: what is there to be used grows by what was granted and, once for each period, by what the one
 * before left over; it is used soonest to expire first, and returned the other way round. Keeps what each period has used in the end.
 */
export class BalanceJudge {
  /** By counter and beginning of the period. */
  readonly totals = new Map<string, Map<number, number>>();
  /** What happened, so that it can be seen that it did. */
  readonly seen = { turns: 0, carried: 0, resets: 0, grants: 0, beyond: 0, fromBalances: 0, expired: 0 };
  readonly #play: Play;
  readonly #granted: ReadonlyMap<string, number>;
  readonly #begun = new Set<string>();

  /** `granted`: units of each grant, by its id, noted before it is asked for. */
  constructor(play: Play, granted: ReadonlyMap<string, number>) {
    this.#play = play;
    this.#granted = granted;
  }

  readonly judge: Judge = (before, after) => {
    const wrong: string[] = [];
    const say = (what: string) => void wrong.push(`${after._id.s}: ${what}`);
    const now = stateOf(after);
    this.#keep(after, now.used);
    this.#terms(before, after, say);
    const isAnother = before?.from?.getTime() !== after.from?.getTime();
    const isReset = isAnother && before?.to !== undefined && before.to.getTime() === after.to?.getTime();
    if (after.from && after.to && after.from >= after.to) say('has a period that ends before it begins');
    if (isReset && now.used > 0) say('uses something after a reset');
    const then = this.#begins(before, after, isAnother, isReset);
    this.#count(before, now, then, { isAnother, isReset });
    this.#amounts(then, now, say);
    this.#kept(then, now, say);
    this.#order(before, after, then, now, say);
    return wrong;
  };

  /** What the newest entitlements say of periods stays what it is until there are newer ones. */
  #terms(before: Row | null | undefined, after: Row, say: (what: string) => void): void {
    if (before?.t && (before.lv ?? 0) > (after.lv ?? 0)) say('has older entitlements than before');
    if (before?.t && before.lv === after.lv && !isDeepStrictEqual(before.t, after.t))
      say(`counts periods by ${JSON.stringify(after.t)}, not ${JSON.stringify(before.t)}`);
  }

  #keep({ _id: { s }, from }: Row, used: number): void {
    if (!from) return;
    const periods = this.totals.get(s) ?? new Map<number, number>();
    this.totals.set(s, periods.set(from.getTime(), used));
  }

  /** The counter before the write, as it has to be in the period of the write. */
  #begins(before: Row | null | undefined, after: Row, isAnother: boolean, isReset: boolean): State {
    const state = before ? stateOf(before) : { used: 0, balances: new Map<string, Pool>(), u: 0, o: 0 };
    if (!isAnother) return state;
    const kept = [...state.balances.values()].filter(({ left }) => isReset || left > 0);
    const renewed = kept.map((pool) => ({ ...pool, spent: 0 }));
    const carried = before && !isReset ? this.#carried(before, after) : [];
    const balances = new Map([...renewed, ...carried].map((pool) => [pool.id, pool] as const));
    return { used: 0, balances, u: 0, o: 0 };
  }

  /** What the period before has left over; one in which nobody came has left all. */
  #carried({ to, lim, u }: Row, { from, t: { rollover } = {} }: Row): Pool[] {
    if (!to || !from || typeof lim !== 'number' || !rollover) return [];
    const unused = to.getTime() === from.getTime() ? lim - u : lim;
    const left = Math.min(rollover.cap, unused);
    const until = from.getTime() + rollover.periods * this.#play.period;
    return left > 0 ? [{ id: `rollover ${from.toISOString()}`, until, left, spent: 0 }] : [];
  }

  #count(
    before: Row | null | undefined,
    now: State,
    then: State,
    { isAnother, isReset }: { readonly isAnother: boolean; readonly isReset: boolean },
  ): void {
    const { seen } = this;
    if (isReset) seen.resets += 1;
    else if (isAnother && before?.from) seen.turns += 1;
    if (
      isAnother &&
      [...now.balances].some(([id]) => isCarried(id) && !before?.balances?.some(({ i }) => i === id))
    )
      seen.carried += 1;
    if (now.o > then.o) seen.beyond += 1;
    for (const [id, pool] of now.balances)
      if (pool.spent > (then.balances.get(id)?.spent ?? 0) && !merged.includes(id)) seen.fromBalances += 1;
    for (const [id, pool] of then.balances) if (pool.left > 0 && !now.balances.has(id)) seen.expired += 1;
  }

  /** No more is there than was, but for a grant that comes for the first time; and no more is used than there is. */
  #amounts(then: State, now: State, say: (what: string) => void): void {
    let granted = 0;
    for (const [id, pool] of now.balances) {
      if (pool.left < 0 || pool.spent < 0) say(`has ${pool.left} left and ${pool.spent} spent of ${id}`);
      const known = then.balances.get(id);
      if (merged.includes(id) || known) {
        if (known && !merged.includes(id) && sizeOf(pool) > sizeOf(known))
          say(`${id} grew from ${sizeOf(known)} to ${sizeOf(pool)}`);
        continue;
      }
      const units = this.#granted.get(id);
      if (units === undefined) say(`has ${sizeOf(pool)} of ${id}, which nobody gave`);
      else if (this.#begun.has(id)) say(`was given ${id} twice`);
      else if (sizeOf(pool) !== units) say(`was given ${sizeOf(pool)} of ${units} by ${id}`);
      this.#begun.add(id);
      this.seen.grants += 1;
      granted += units ?? 0;
    }
    const most = allOf(then.balances) + granted;
    if (allOf(now.balances) > most) say(`has balances of ${allOf(now.balances)}, and may of ${most}`);
    if (now.o > Math.max(this.#play.overage, then.o)) say(`has used ${now.o} beyond its limit`);
  }

  /** What is left of a balance that has not expired stays, and what is carried over comes. */
  #kept(then: State, now: State, say: (what: string) => void): void {
    for (const [id, pool] of then.balances) {
      if (pool.left === 0 || pool.until <= Date.now()) continue; // the write may be a moment old
      const size = now.balances.get(id);
      if (!size || sizeOf(size) < sizeOf(pool)) say(`has lost some of ${sizeOf(pool)} of ${id}`);
    }
  }

  /** In one write all that goes up, or down, does so in the order of expiry. */
  #order(
    before: Row | null | undefined,
    row: Row,
    then: State,
    now: State,
    say: (what: string) => void,
  ): void {
    if (typeof row.lim !== 'number' || now.used === then.used || !row.to) return;
    const own = Object.entries(row.p ?? {}).find(([slot, { n }]) => before?.p?.[slot]?.n !== n);
    const at = own?.[1].t?.getTime() ?? 0; // when its command began: it may have waited for others
    const poolsOf = (state: State): Pool[] => {
      const allowance = {
        id: 'allowance',
        until: row.to?.getTime() ?? 0,
        left: (row.lim as number) - state.u,
        spent: state.u,
      };
      const beyond = {
        id: 'overage',
        until: Number.POSITIVE_INFINITY,
        left: this.#play.overage - state.o,
        spent: state.o,
      };
      return [allowance, ...state.balances.values(), beyond];
    };
    const spent = new Map(poolsOf(then).map((pool) => [pool.id, pool.spent]));
    const pools = poolsOf(now)
      .filter(({ id }) => !merged.includes(id)) // there may be several
      .map((pool) => ({ ...pool, more: pool.spent - (spent.get(pool.id) ?? 0) }));
    const isMore = now.used > then.used;
    for (const pool of pools) {
      if (isMore ? pool.more <= 0 : pool.more >= 0) continue;
      if (isMore && pool.until <= at) say(`has spent of ${pool.id}, which was over`);
      const wrong = pools.find((other) =>
        isMore
          ? other.until < pool.until && other.until > at && other.left > 0
          : other.until > pool.until && other.spent > 0,
      );
      if (wrong) say(`${isMore ? 'spent of' : 'gave back to'} ${pool.id} before ${wrong.id}`);
    }
  }
}

const isCarried = (id: string): boolean => id.startsWith('rollover ');

function stateOf({ u, o = 0, balances = [] }: Row): State {
  const pools = new Map<string, Pool>();
  for (const { i: id, l, s, e } of balances) {
    const known = pools.get(id);
    const until = Math.min(known?.until ?? Number.POSITIVE_INFINITY, e.getTime());
    pools.set(id, { id, until, left: l + (known?.left ?? 0), spent: s + (known?.spent ?? 0) });
  }
  return { used: u + o + sumOf([...pools.values()].map(({ spent }) => spent)), balances: pools, u, o };
}
