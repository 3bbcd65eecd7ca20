import { refuse } from '../errors.js';

/** For whom a password is hashed, as far as it decides who waits. */
export interface HashingClient {
  /** Whether the account has signed in from this device before. */
  readonly knownDevice?: boolean | undefined;
  /** The client's network prefix, such as `192.0.2.0/24`; strangers without one share a place in the turns. */
  readonly network?: string | undefined;
}

export interface HashingLimits {
  /** Jobs that run at once. */
  readonly threads: number;
  /** Jobs that may wait, one half of them for known devices. */
  readonly places: number;
  /** Jobs that may wait for strangers of one network. */
  readonly placesPerNetwork: number;
}

interface Waiting {
  readonly start: () => void;
  readonly drop: () => void;
}

/** Known devices go first, but after so many of them in a row a stranger does. */
const knownInARow = 3;

/**
 * Decides which job gets a thread, and which is refused when too many wait. Strangers cannot close sign-in: half of the places
 * is kept for known devices. In each half networks take turns, and when it is full the one that has most loses its newest place
 * to whoever has fewer; strangers of one network have few places anyway.
 */
export class HashingQueue {
  readonly #known: Lane;
  readonly #strangers: Lane;
  #free: number;
  #inARow = 0;

  constructor({ threads, places, placesPerNetwork }: HashingLimits) {
    this.#free = threads;
    this.#known = new Lane(places >> 1, places >> 1);
    this.#strangers = new Lane(places >> 1, placesPerNetwork);
  }

  /**
   * Runs `work` when its turn has come.
   *
   * @throws {TollgateError} `overloaded` (503) when it finds no place, or loses it to one of another network
   */
  async run<T>(work: () => Promise<T>, client: HashingClient = {}): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await this.#turn(client);
    try {
      return await work();
    } finally {
      const next = this.#next();
      if (next) next.start();
      else this.#free += 1;
    }
  }

  #turn({ knownDevice, network }: HashingClient): Promise<void> {
    return new Promise((start, reject) => {
      const lane = knownDevice ? this.#known : this.#strangers;
      lane.join(network, { start, drop: () => reject(refuse('overloaded')) })?.drop();
    });
  }

  #next(): Waiting | undefined {
    const strangersDue = this.#known.size === 0 || this.#inARow >= knownInARow;
    const lane = strangersDue && this.#strangers.size > 0 ? this.#strangers : this.#known;
    this.#inARow = lane === this.#known ? this.#inARow + 1 : 0;
    return lane.take();
  }
}

/** Those who wait, by network; the networks take turns in the order of the map. */
class Lane {
  readonly #places: number;
  readonly #placesPerNetwork: number;
  readonly #networks = new Map<string | undefined, Waiting[]>();
  size = 0;

  constructor(places: number, placesPerNetwork: number) {
    this.#places = places;
    this.#placesPerNetwork = placesPerNetwork;
  }

  /** Lets `one` wait; gives back whoever has no place now: nobody, `one` itself, or one of a network that has more. */
  join(network: string | undefined, one: Waiting): Waiting | undefined {
    const own = this.#networks.get(network) ?? [];
    if (network !== undefined && own.length >= this.#placesPerNetwork) return one;
    const full = this.size >= this.#places;
    const dropped = full ? this.#displace(own.length) : undefined;
    if (full && !dropped) return one;
    own.push(one);
    this.#networks.set(network, own);
    this.size += 1;
    return dropped;
  }

  /** Takes the newest place of the network that has most, if that still leaves it as many as the newcomer's will have. */
  #displace(own: number): Waiting | undefined {
    const most = [...this.#networks.values()].reduce((a, b) => (b.length > a.length ? b : a));
    if (most.length <= own + 1) return undefined;
    this.size -= 1;
    return most.pop();
  }

  /** Takes who has waited longest of the network whose turn it is. */
  take(): Waiting | undefined {
    const [turn] = this.#networks;
    if (!turn) return undefined;
    const [network, waiting] = turn;
    this.#networks.delete(network);
    if (waiting.length > 1) this.#networks.set(network, waiting);
    this.size -= 1;
    return waiting.shift();
  }
}
