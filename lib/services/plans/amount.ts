/** True for what can be consumed. */
export const isAmount = (amount: unknown): amount is number =>
  Number.isSafeInteger(amount) && (amount as number) > 0;

export function checkAmount(amount: number): void {
  if (!isAmount(amount))
    throw new TypeError(`amount must be a positive integer up to 2^53 - 1, not ${amount}`);
}
