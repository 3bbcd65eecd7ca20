import type { Load, Outcome } from '../../kit/consume.js';
import { Ledger } from '../../kit/ledger.js';

/** What a storm notes of its consumptions, of which there are `wanted` at least. */
export function tally(wanted: number) {
  const ledger = new Ledger();
  const outcomes: Record<Outcome, number> = { granted: 0, denied: 0, refused: 0, unknown: 0 };
  let done = 0;
  const isOver = () => done >= wanted;
  const note = (entry: Parameters<Ledger['note']>[0]) => ledger.note(entry);
  const met: Load<never>['met'] = (outcome, units) => {
    outcomes[outcome] += 1;
    done += 1;
    if (outcome === 'unknown') ledger.open += units;
  };
  return { ledger, outcomes, isOver, note, met };
}
