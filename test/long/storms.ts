/**
 * The storms of test/quota, fifty times as long: some ten million consumptions. What they have shown is written to RESULT.md beside this file.
 * `npm run test:long`
 */
import './settings.js'; // first: by an import that is awaited mocha would load the tests apart from their hooks
import '../quota/storms.test.js';
