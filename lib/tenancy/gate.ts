/** Asked of anything by `await`, `JSON.stringify()`, inspection and assertion: they get nothing rather than an error. */
const quiet = new Set<PropertyKey>(['then', 'toJSON', 'constructor', 'inspect']);

/** An object that has the members of `open` and refuses every other name, also those of a later version of what it stands for. */
export function gate<T extends object>(open: T, refusal: (name: string) => Error): T {
  return new Proxy(Object.freeze(open), {
    get(target, name) {
      if (Object.hasOwn(target, name)) return Reflect.get(target, name);
      if (typeof name === 'symbol' || quiet.has(name)) return undefined;
      throw refusal(name);
    },
    getPrototypeOf: () => null,
  });
}
