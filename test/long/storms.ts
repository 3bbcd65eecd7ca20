/** The storms of test/quota, fifty times as long: some ten million consumptions. `npm run test:long` */
process.env.STORM_FACTOR ??= '50';
await import('../quota/storms.test.js');
