import { refuse, type TollgateError } from '../errors.js';

/** Members that are settled together, and those that may wait under one name, at most. */
const [largest, queue] = [256, 5_000];

/** Settles members in groups: those that wait under one name while a group of that name is being settled are the next one. */
export class Gathering<Member extends { reject(error: TollgateError): void }> {
  readonly #settle: (members: readonly Member[]) => Promise<void>;
  readonly #groups = new Map<string, Member[]>();

  /** `settle` answers every member, and must not throw. */
  constructor(settle: (members: readonly Member[]) => Promise<void>) {
    this.#settle = settle;
  }

  /** Refuses a member with `overloaded` (503) where too many wait. */
  join(name: string, member: Member): void {
    const group = this.#groups.get(name);
    if (!group) {
      const opened = [member];
      this.#groups.set(name, opened);
      queueMicrotask(() => void this.#run(name, opened));
    } else if (group.length >= queue) member.reject(refuse('overloaded'));
    else group.push(member);
  }

  async #run(name: string, group: Member[]): Promise<void> {
    while (group.length > 0) await this.#settle(group.splice(0, largest));
    this.#groups.delete(name);
  }
}
