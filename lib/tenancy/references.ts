import type { Schema, SchemaType } from 'mongoose';
import type { AnyModel, Plain } from './registry.js';
import { isPlain } from './snapshot.js';

/** The references of a schema, as a tree of its paths; a map's values stand under `*`. */
interface Node {
  ref?: string | undefined;
  readonly children: Map<string, Node>;
}

/** Ids that a write refers to, by the name of the model. */
export type Referred = Map<string, unknown[]>;

const trees = new WeakMap<Schema, Node>();

/**
 * The references of a model, its discriminators' among them.
 *
 * @throws {TypeError} when one cannot be known before a document is: `refPath`, or a ref that is no name
 */
function referencesOf(model: AnyModel): Node {
  const schema = model.schema as unknown as Schema;
  const known = trees.get(schema);
  if (known) return known;
  const root: Node = { children: new Map() };
  for (const one of [schema, ...Object.values(model.discriminators ?? {}).map((each) => each.schema)])
    addSchema(root, one as Schema, model.modelName);
  trees.set(schema, root);
  return root;
}

function addSchema(node: Node, schema: Schema, name: string): void {
  schema.eachPath((path, type) => addType(at(node, path), type, `${name}.${path}`));
  for (const [path, { options }] of Object.entries(schema.virtuals as Record<string, { options: Plain }>))
    nameOf(options ?? {}, `${name}.${path}`);
}

/** Types that hold others: subdocuments and arrays of them, arrays of values, maps. */
type Holding = SchemaType & { schema?: Schema; getEmbeddedSchemaType?(): SchemaType | undefined };

function addType(node: Node, type: Holding, path: string): void {
  node.ref = nameOf(type.options as unknown as Plain, path) ?? node.ref;
  const embedded = type.getEmbeddedSchemaType?.();
  if (embedded) addType(type.instance === 'Map' ? at(node, '*') : node, embedded, path);
  if (!type.schema) return;
  const variants = Object.values((type.schema as { discriminators?: Record<string, Schema> }).discriminators ?? {}); // biome-ignore format: one line
  for (const schema of [type.schema, ...variants]) addSchema(node, schema, path);
}

function nameOf({ ref, refPath, type }: Plain, path: string): string | undefined {
  const inner = Array.isArray(type) ? (type[0] as Plain | undefined) : undefined;
  if (inner?.ref || inner?.refPath) return nameOf(inner, path);
  if (refPath)
    throw new TypeError(
      `${path} has a refPath: a model that belongs to tenants names the models that it refers to`,
    );
  if (ref === undefined || ref === null || typeof ref === 'string') return ref ?? undefined;
  throw new TypeError(
    `${path} must have the name of a model for its ref, or its tenant could not be followed`,
  );
}

function at(node: Node, path: string): Node {
  let current = node;
  for (const step of path.split('.')) {
    const name = step === '$*' ? '*' : step;
    const next = current.children.get(name) ?? { children: new Map() };
    current.children.set(name, next);
    current = next;
  }
  return current;
}

/** A place in an array, in the path of an update. */
const position = /^(\d+|\$(\[\w*\])?)$/;

/** The node that a path of an update leads to; undefined where no reference can be. */
function follow(node: Node, path: string): Node | undefined {
  let current: Node | undefined = node;
  for (const step of path.split('.')) {
    const next: Node | undefined = current.children.get(step) ?? current.children.get('*');
    if (!next && position.test(step)) continue;
    if (!next) return undefined;
    current = next;
  }
  return current;
}

/** Collects the ids that the references in documents refer to. */
export function referredByDocuments(
  model: AnyModel,
  documents: readonly unknown[],
  into: Referred = new Map(),
): Referred {
  const root = referencesOf(model);
  for (const document of documents) collect(root, document, into);
  return into;
}

/** Collects the ids that a value written at a path of an update refers to. */
export function referredByPath(model: AnyModel, path: string, value: unknown, into: Referred): void {
  const node = follow(referencesOf(model), path);
  if (node) collect(node, value, into);
}

/** Whether a path leads to a reference, or to something that holds one. */
export function holdsReference(model: AnyModel, path: string): boolean {
  const node = follow(referencesOf(model), path);
  return node !== undefined && anyReference(node);
}

const anyReference = (node: Node): boolean =>
  node.ref !== undefined || [...node.children.values()].some(anyReference);

function collect(node: Node, value: unknown, into: Referred): void {
  if (value === null || value === undefined) return;
  if (Array.isArray(value)) {
    for (const item of value) collect(node, item, into);
    return;
  }
  if (node.ref !== undefined) into.set(node.ref, [...(into.get(node.ref) ?? []), value]);
  if (node.children.size === 0 || !isPlain(value)) return;
  for (const [key, inner] of Object.entries(value)) {
    const next = follow(node, key);
    if (next) collect(next, inner, into);
  }
}
