/**
 * Uses a value at once where it is known, else when it is: what is remembered costs a request no turn of the microtask queue.
 */
export const after = <T, U>(value: T | Promise<T>, use: (value: T) => U | Promise<U>): U | Promise<U> =>
  value instanceof Promise ? value.then(use) : use(value);
