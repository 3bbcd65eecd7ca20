import { fileURLToPath } from 'node:url';

process.env.STORM_FACTOR ??= '50';
process.env.STORM_RESULT ??= fileURLToPath(new URL('RESULT.md', import.meta.url));
