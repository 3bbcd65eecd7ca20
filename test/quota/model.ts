import type { Part, Terms } from '../../lib/quota/batch.js';

export interface Balance {
  readonly i: string;
  /** Left. */
  l: number;
  /** Spent in this period. */
  s: number;
  e: Date;
}

/** Units that are spent one after the other; `left` bounds what may be taken of them. */
interface Pool {
  readonly expires: number;
  left: number;
  take(units: number): void;
  readonly spent: number;
}

const monthAfter = (from: Date, months: number): Date =>
  new Date(Date.UTC(from.getUTCFullYear(), from.getUTCMonth() + months, 1));
const sumOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);

/** What a counter with balances should do, in calendar months: written to be read, not to be fast. */
export class Model {
  from: Date | undefined;
  to: Date | undefined;
  balances: Balance[] = [];
  #u = 0;
  #o = 0;
  #limit: number | null = null;
  #past: number[] = [];

  get state(): object {
    const { from, to, balances } = this;
    const inOrder = [...balances].sort((one, other) => one.e.getTime() - other.e.getTime());
    return { u: this.#u, o: this.#o, from, to, balances: inOrder, past: this.#past };
  }

  /** Says of each amount that is taken whether it is granted. */
  take(parts: readonly Part[], terms: Terms, now: Date): boolean[] {
    this.#turn(terms, now);
    // What was spent of one that is over was used in this period all the same.
    for (const balance of this.balances) if (balance.e <= now) balance.l = 0;
    this.balances = this.balances.filter(({ s, e }) => s > 0 || e > now);
    this.#limit = terms.limit;
    const [before, capacity] = [this.#used(), this.#capacity(terms)];
    let used = before;
    const granted: boolean[] = [];
    for (const { amount, from } of parts) {
      if (amount < 0 && from?.getTime() === this.from?.getTime()) used = Math.max(0, used + amount);
      if (amount < 0) continue;
      const fits = used + amount <= capacity;
      if (fits) used += amount;
      granted.push(fits);
    }
    if (used > before) this.#spend(used - before, terms);
    else this.#return(before - used);
    return granted;
  }

  /** Lets the period be the month before, or an earlier one. */
  shift(skipped: boolean, now: Date): void {
    this.to = monthAfter(now, skipped ? -1 : 0);
    this.from = monthAfter(this.to, -1);
  }

  #turn({ rollover }: Terms, now: Date): void {
    const begins = monthAfter(now, 0);
    if (this.to && this.to > now) return;
    if (this.to) this.#past.push(this.#used());
    const unused = (this.#limit ?? 0) - (this.to?.getTime() === begins.getTime() ? this.#u + this.#o : 0);
    const carried = Math.min(rollover?.cap ?? 0, Math.max(0, unused));
    this.balances = this.balances
      .filter(({ l, e }) => l > 0 && e > now)
      .map((balance) => ({ ...balance, s: 0 }));
    if (this.to && carried > 0) {
      const e = monthAfter(begins, rollover?.periods ?? 0);
      this.balances.push({ i: `rollover ${begins.toISOString()}`, l: carried, s: 0, e });
    }
    [this.from, this.to, this.#u, this.#o] = [begins, monthAfter(begins, 1), 0, 0];
  }

  #used(): number {
    return this.#u + this.#o + sumOf(this.balances.map(({ s }) => s));
  }

  #capacity({ overage = 0 }: Terms): number {
    if (this.#limit === null || overage === null) return Number.POSITIVE_INFINITY;
    const granted = sumOf(this.balances.map(({ l, s }) => l + s));
    return Math.max(this.#limit + overage, this.#u + this.#o) + granted;
  }

  #pools(overage: number): Pool[] {
    const model = this;
    const limit = this.#limit ?? Number.POSITIVE_INFINITY;
    // Of what the period may have in all, too much of one is too little for the other.
    const tooMuch = (used: number, most: number) => Math.max(0, used - most);
    const allowance: Pool = {
      expires: (this.to as Date).getTime(),
      left: Math.max(0, limit - this.#u - tooMuch(this.#o, overage)),
      take: (units) => {
        this.#u += units;
      },
      get spent() {
        return model.#u;
      },
    };
    const beyond: Pool = {
      expires: Number.POSITIVE_INFINITY,
      left: Math.max(0, overage - this.#o - tooMuch(this.#u, limit)),
      take: (units) => {
        this.#o += units;
      },
      get spent() {
        return model.#o;
      },
    };
    const granted = this.balances.map(
      (balance): Pool => ({
        expires: balance.e.getTime(),
        left: balance.l,
        take: (units) => {
          balance.l -= units;
          balance.s += units;
        },
        get spent() {
          return balance.s;
        },
      }),
    );
    return [...[allowance, ...granted].sort((one, other) => one.expires - other.expires), beyond];
  }

  /** Where there is no limit nothing is spent but the allowance. */
  #spend(units: number, { overage = 0 }: Terms): void {
    if (this.#limit === null) this.#u += units;
    else {
      for (const pool of this.#pools(overage ?? Number.POSITIVE_INFINITY)) {
        const some = Math.min(units, pool.left);
        pool.take(some);
        units -= some;
      }
    }
  }

  #return(units: number): void {
    if (units === 0) return;
    if (this.#limit === null && this.#u >= units) this.#u -= units;
    else {
      for (const pool of this.#pools(0).reverse()) {
        const some = Math.min(units, pool.spent);
        pool.take(-some);
        units -= some;
      }
    }
  }
}
