import { beyondTenant } from './needs-tenant.js';
import type { Plain } from './registry.js';
import { isPlain, snapshot, snapshotOf } from './snapshot.js';

/** What a pipeline of a tenant may reach. */
export interface Reach {
  /** The model that the pipeline begins at, for messages. */
  readonly model: string;
  /** The filter of the tenant's documents in a collection; throws where there is none. */
  readonly filterOf: (collection: string) => Plain;
  /** The stages by which a `$lookup` into users finds members only; null for any other collection. */
  readonly membersOf: (collection: string) => Plain[] | null;
}

type Stage = (argument: unknown, reach: Reach) => unknown;

const same: Stage = (argument) => argument;

/** Every stage that a tenant may use. What is not here is refused, also what a later MongoDB brings. */
const stages: Readonly<Record<string, Stage>> = {
  $addFields: same,
  $bucket: same,
  $bucketAuto: same,
  $count: same,
  $densify: same,
  $facet: (facets, reach) => {
    const named = Object.entries(snapshotOf(facets, '$facet'));
    return Object.fromEntries(named.map(([name, pipeline]) => [name, ownStages(pipeline, reach)]));
  },
  $fill: same,
  $graphLookup,
  $group: same,
  $limit: same,
  $lookup,
  $match: same,
  $project: same,
  $redact: same,
  $replaceRoot: same,
  $replaceWith: same,
  $sample: same,
  $set: same,
  $setWindowFields: same,
  $skip: same,
  $sort: same,
  $sortByCount: same,
  $unionWith,
  $unset: same,
  $unwind: same,
};

/** The names of these stages, and of the one that may only come first. */
export const allowedStages: readonly string[] = [...Object.keys(stages), '$geoNear'].sort();

/**
 * A pipeline that sees the tenant's documents only, in every collection that it reaches.
 *
 * @throws {TypeError} when a stage, at any depth, is not allowed, or reaches a collection that is neither scoped nor declared global
 */
export function ownPipeline(given: unknown, own: Plain, reach: Reach): Plain[] {
  const [first, ...rest] = copyOf(given, reach);
  const nothing = Object.keys(own).length === 0;
  // These two must be the first stage of a pipeline: $geoNear always, $match where it has a $text.
  if (first?.$geoNear) {
    const query = { $and: [own, ((first.$geoNear as Plain).query as Plain | undefined) ?? {}] };
    return [{ $geoNear: { ...(first.$geoNear as Plain), query } }, ...ownStages(rest, reach)];
  }
  if (first?.$match) return [{ $match: { $and: [own, first.$match] } }, ...ownStages(rest, reach)];
  return [...(nothing ? [] : [{ $match: own }]), ...ownStages(first ? [first, ...rest] : [], reach)];
}

function copyOf(given: unknown, { model }: Reach): Plain[] {
  const pipeline = snapshot(given ?? []);
  const isPipeline =
    Array.isArray(pipeline) && pipeline.every((stage) => isPlain(stage) && Object.keys(stage).length === 1);
  if (!isPipeline)
    throw new TypeError(`A pipeline of ${model} must be an array of stages, each with one key`);
  return pipeline as Plain[];
}

function ownStages(given: unknown, reach: Reach): Plain[] {
  return copyOf(given, reach).map((stage) => {
    const [[name, argument]] = Object.entries(stage) as [[string, unknown]];
    const own = Object.hasOwn(stages, name) ? stages[name] : undefined;
    if (!own) throw beyondTenant(reach.model, `The stage ${name}`);
    return { [name]: own(argument, reach) };
  });
}

function $lookup(argument: unknown, reach: Reach): Plain {
  const { from, pipeline, ...rest } = onlyKeys(argument, '$lookup', reach, ['from', 'localField', 'foreignField', 'let', 'pipeline', 'as']); // biome-ignore format: a list
  const members = reach.membersOf(String(from));
  if (!members)
    return { from, ...rest, pipeline: ownPipeline(pipeline, reach.filterOf(String(from)), reach) };
  if (rest.foreignField !== '_id' || rest.localField === undefined)
    throw beyondTenant(
      reach.model,
      'A $lookup into users other than by a localField and the foreignField _id',
    );
  return { from, ...rest, pipeline: [...members, ...ownStages(pipeline ?? [], reach)] };
}

function $unionWith(argument: unknown, reach: Reach): Plain {
  const given = typeof argument === 'string' ? { coll: argument } : argument;
  const { coll, pipeline } = onlyKeys(given, '$unionWith', reach, ['coll', 'pipeline']);
  return { coll, pipeline: ownPipeline(pipeline, reach.filterOf(String(coll)), reach) };
}

function $graphLookup(argument: unknown, reach: Reach): Plain {
  const known = ['from', 'startWith', 'connectFromField', 'connectToField', 'as', 'maxDepth', 'depthField', 'restrictSearchWithMatch']; // biome-ignore format: a list
  const { restrictSearchWithMatch, ...rest } = onlyKeys(argument, '$graphLookup', reach, known);
  const own = reach.filterOf(String(rest.from));
  return { ...rest, restrictSearchWithMatch: { $and: [own, restrictSearchWithMatch ?? {}] } };
}

/** The argument of a stage that reaches another collection; a key that is not known could reach further. */
function onlyKeys(argument: unknown, stage: string, { model }: Reach, known: readonly string[]): Plain {
  const given = snapshotOf(argument, stage);
  const unknown = Object.keys(given).find((key) => !known.includes(key));
  if (unknown !== undefined) throw beyondTenant(model, `${stage} with ${unknown}`);
  return given;
}
