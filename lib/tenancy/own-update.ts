import { beyondTenant } from './needs-tenant.js';
import { holdsReference, type Referred, referredByDocuments, referredByPath } from './references.js';
import type { AnyModel, Plain } from './registry.js';
import { isPlain, snapshot, snapshotOf } from './snapshot.js';

/** What a write of a tenant is checked by. */
export interface Writing {
  readonly model: AnyModel;
  /** The tenant fields of a new document; null for system access, which may write any. */
  readonly inserted: Plain | null;
  /** The tenant fields that every document of the tenant has the same value in. */
  readonly fixed: Plain;
  /** All tenant fields. */
  readonly fields: readonly string[];
  /** Collects what is referred to. */
  readonly referred: Referred;
}

const adding = [
  '$set',
  '$setOnInsert',
  '$inc',
  '$mul',
  '$min',
  '$max',
  '$push',
  '$addToSet',
  '$bit',
  '$currentDate',
];
const removing = ['$unset', '$pull', '$pullAll', '$pop'];
const rootOf = (path: string): string => path.split('.', 1)[0] as string;
const same = (a: unknown, b: unknown): boolean => String(a ?? null) === String(b ?? null);

/** A new document with the tenant's fields; one that names another tenant is refused. */
export function ownDocument(writing: Writing, given: unknown): Plain {
  const document = snapshotOf(given, 'A document');
  const { model, inserted, fields, referred } = writing;
  if (!inserted) {
    if (!document.organization) throw new TypeError(`A new ${model.modelName} needs an organization`);
    return document;
  }
  for (const field of fields)
    if (document[field] !== undefined && !same(document[field], inserted[field]))
      throw beyondTenant(model.modelName, `A document with another ${field}`);
  referredByDocuments(model, [withoutFields(document, fields)], referred);
  return { ...document, ...inserted };
}

function withoutFields(document: Plain, fields: readonly string[]): Plain {
  return Object.fromEntries(Object.entries(document).filter(([key]) => !fields.includes(key)));
}

/** What replaces a document, as an update that keeps its tenant fields; for `upsert` with those of a new document. */
export function ownReplacement(writing: Writing, given: unknown, upsert: boolean): Plain[] {
  const { model, inserted, fixed, fields, referred } = writing;
  const replacement = snapshotOf(given, 'A replacement');
  if (Object.keys(replacement).some((key) => key.startsWith('$')))
    throw new TypeError('A replacement has no operators');
  if (!inserted) return [{ $replaceWith: { $literal: replacement } }];
  for (const [field, value] of Object.entries(fixed))
    if (replacement[field] !== undefined && !same(replacement[field], value))
      throw beyondTenant(model.modelName, `A replacement with another ${field}`);
  const literal = withoutFields(replacement, fields);
  referredByDocuments(model, [literal], referred);
  const kept = Object.fromEntries(fields.map((field) => [field, tenantValue(writing, field, upsert)]));
  return [{ $replaceWith: { $mergeObjects: [{ $literal: literal }, kept] } }];
}

/** The expression for a tenant field: what the tenant's documents have, else what this one has. */
function tenantValue({ inserted, fixed }: Writing, field: string, upsert: boolean): unknown {
  if (field in fixed) return { $literal: fixed[field] };
  const isMissing = { $eq: [{ $type: `$${field}` }, 'missing'] };
  return upsert ? { $cond: [isMissing, { $literal: inserted?.[field] ?? null }, `$${field}`] } : `$${field}`;
}

/** An update by operators or by a pipeline, which leaves the tenant's fields as they are; for `upsert` with those of a new document. */
export function ownUpdate(writing: Writing, given: unknown, upsert: boolean): Plain | Plain[] {
  const update = snapshot(given);
  if (Array.isArray(update)) return ownPipeline(writing, update, upsert);
  if (!isPlain(update)) throw new TypeError('An update must be an object of operators, or a pipeline');
  const own: Record<string, Plain> = {};
  for (const [operator, changes] of Object.entries(update)) {
    if (!isPlain(changes)) throw new TypeError(`An update must begin with an operator, not with ${operator}`);
    own[operator] = ownChanges(writing, operator, changes);
  }
  if (upsert && writing.inserted) own.$setOnInsert = { ...own.$setOnInsert, ...writing.inserted };
  const changing = Object.entries(own).filter(([, changes]) => Object.keys(changes).length > 0);
  return changing.length > 0 ? Object.fromEntries(changing) : { $set: {} };
}

function ownChanges(writing: Writing, operator: string, changes: Plain): Plain {
  const own: Plain = {};
  for (const [path, value] of Object.entries(changes)) {
    if (mayChange(writing, operator, path, value)) own[path] = value;
  }
  return own;
}

/** Whether a change is made; one that says what is so already is left out. */
function mayChange(writing: Writing, operator: string, path: string, value: unknown): boolean {
  const { model, inserted, fields, referred } = writing;
  const refusal = () => beyondTenant(model.modelName, `${operator} of ${path}`);
  if (!inserted) return true;
  if (fields.includes(rootOf(path))) {
    const sets = operator === '$set' || operator === '$setOnInsert';
    if (sets && same(value, inserted[path])) return false;
    throw refusal();
  }
  if (removing.includes(operator)) return true;
  if (operator === '$rename') {
    if (fields.includes(rootOf(String(value))) || holdsReference(model, String(value))) throw refusal();
    return true;
  }
  if (!adding.includes(operator)) throw refusal();
  const each = operator === '$push' || operator === '$addToSet';
  referredByPath(model, path, each && isPlain(value) && '$each' in value ? value.$each : value, referred);
  return true;
}

/** Stages that name what they change; others could put together a document that is another tenant's. */
const stages = ['$set', '$addFields', '$unset'];

function ownPipeline(writing: Writing, pipeline: readonly unknown[], upsert: boolean): Plain[] {
  const { model, inserted, fields } = writing;
  const own = pipeline.map((stage) => snapshotOf(stage, 'A stage'));
  if (!inserted) return own;
  for (const stage of own) {
    for (const [name, change] of Object.entries(stage)) {
      if (!stages.includes(name)) throw beyondTenant(model.modelName, `An update by ${name}`);
      for (const path of pathsOf(change)) {
        if (fields.includes(rootOf(path))) throw beyondTenant(model.modelName, `${name} of ${path}`);
        if (name !== '$unset') refuseComputed(writing, path, (change as Plain)[path]);
      }
    }
  }
  const ending = fields.filter((field) => upsert || field in writing.fixed);
  return [
    ...own,
    { $set: Object.fromEntries(ending.map((field) => [field, tenantValue(writing, field, upsert)])) },
  ];
}

const pathsOf = (change: unknown): string[] => {
  if (typeof change === 'string') return [change];
  if (Array.isArray(change)) return change.map(String);
  return isPlain(change) ? Object.keys(change) : [];
};

/** What a reference is set to must be said: of an expression nobody knows it before. */
function refuseComputed({ model, referred }: Writing, path: string, value: unknown): void {
  if (!holdsReference(model, path)) return;
  if (isComputed(value))
    throw beyondTenant(model.modelName, `An expression for ${path}, which is a reference,`);
  referredByPath(model, path, value, referred);
}

function isComputed(value: unknown): boolean {
  if (typeof value === 'string') return value.startsWith('$');
  if (Array.isArray(value)) return value.some(isComputed);
  return (
    isPlain(value) && Object.entries(value).some(([key, inner]) => key.startsWith('$') || isComputed(inner))
  );
}
