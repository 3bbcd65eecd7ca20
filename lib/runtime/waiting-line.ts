import { setTimeout } from 'node:timers';
import { refuse } from '../errors.js';
import { patience } from './database.js';

/** Who waits to be sent, since a moment of the monotonic clock. */
export interface Patient {
  readonly since: number;
  reject(error: unknown): void;
}

/** Milliseconds after which it is looked again for whoever has waited for too long. */
const glance = 100;

/**
 * Those who wait, first in, first out. Whoever has waited for 1.5 s, or comes when `most` are waiting, is refused with `overloaded` (503):
 * nothing was sent for them.
 */
export class WaitingLine<Member extends Patient> {
  readonly #most: number;
  readonly #members: Member[] = [];
  #isWatching = false;

  constructor(most: number) {
    this.#most = most;
  }

  get isEmpty(): boolean {
    return this.#members.length === 0;
  }

  join(member: Member): void {
    if (this.#members.length >= this.#most) member.reject(refuse('overloaded'));
    else this.#members.push(member);
  }

  /** The next `count`, who wait no more. */
  next(count: number): Member[] {
    this.#refuseLate();
    return this.#members.splice(0, count);
  }

  /** Refuses those who wait in vain, from now on, until nobody waits. */
  watch(): void {
    if (this.#isWatching || this.isEmpty) return;
    this.#isWatching = true;
    setTimeout(() => {
      this.#isWatching = false;
      this.#refuseLate();
      this.watch();
    }, glance);
  }

  #refuseLate(): void {
    const first = this.#members.findIndex((member) => !isLate(member));
    stillWaiting(this.#members.splice(0, first === -1 ? this.#members.length : first));
  }
}

/** Those who have not waited for 1.5 s yet; the others are refused with `overloaded`. */
export function stillWaiting<Member extends Patient>(members: readonly Member[]): Member[] {
  return members.filter((member) => {
    const late = isLate(member);
    if (late) member.reject(refuse('overloaded'));
    return !late;
  });
}

const isLate = ({ since }: Patient): boolean => performance.now() - since >= patience;
