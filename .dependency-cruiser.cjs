/** The layers of lib, from the top: an import may only point down this list. */
const layers = [
  'index\\.ts',
  'cli',
  'routers',
  'dashboard',
  'middleware',
  'worker',
  'stripe',
  'services',
  'quota',
  'tenancy',
  'audit',
  'mail',
  'models',
  'runtime',
  'errors\\.ts',
];
const path = (names) => `^lib/(${names.join('|')})(/|$)`;

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no-orphans',
      severity: 'error',
      from: { orphan: true, path: '^lib', pathNot: ['^lib/runtime/hash-worker'] },
      to: {},
    },
    { name: 'known-layers', severity: 'error', from: {}, to: { path: '^lib/', pathNot: path(layers) } },
    {
      name: 'lib-stands-alone',
      severity: 'error',
      from: { path: '^lib' },
      to: { path: '^(test|examples|bench)' },
    },
    {
      name: 'declared',
      severity: 'error',
      from: { path: '^lib' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['npm-peer'] },
    },
    ...layers.slice(1).map((layer, index) => ({
      name: `down-from-${layer.replace('\\.ts', '')}`,
      severity: 'error',
      from: { path: path([layer]) },
      to: { path: path(layers.slice(0, index + 1)) },
    })),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
