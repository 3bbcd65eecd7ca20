import { type Patient, WaitingLine } from '../runtime/waiting-line.js';

/** Members that are settled together, and those that may wait under one name, at most. */
const [largest, queue] = [256, 5_000];

/**
 * Settles members in groups: those that wait under one name while a group of that name is being settled are the next one. Whoever
 * waits for 1.5 s, or comes when too many do, is refused with `overloaded` (503).
 */
export class Gathering<Member extends Patient> {
  readonly #settle: (members: readonly Member[]) => Promise<void>;
  readonly #groups = new Map<string, WaitingLine<Member>>();

  /** `settle` answers every member, and must not throw. */
  constructor(settle: (members: readonly Member[]) => Promise<void>) {
    this.#settle = settle;
  }

  join(name: string, member: Member): void {
    const group = this.#groups.get(name) ?? this.#open(name);
    group.join(member);
    group.watch();
  }

  #open(name: string): WaitingLine<Member> {
    const group = new WaitingLine<Member>(queue);
    this.#groups.set(name, group);
    queueMicrotask(() => void this.#run(name, group));
    return group;
  }

  async #run(name: string, group: WaitingLine<Member>): Promise<void> {
    while (!group.isEmpty) {
      const members = group.next(largest);
      if (members.length > 0) await this.#settle(members);
    }
    this.#groups.delete(name);
  }
}
