/**
 * The storms of test/quota, fifty times as long: some ten million consumptions. What they have shown is written to RESULT.md beside this file.
 * `npm run test:long`
 */
import { fileURLToPath } from 'node:url';

process.env.STORM_FACTOR ??= '50';
process.env.STORM_RESULT ??= fileURLToPath(new URL('RESULT.md', import.meta.url));
await import('../quota/storms.test.js');
