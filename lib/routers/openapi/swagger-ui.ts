import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** The files of Swagger UI that its page needs, and nothing else of the package. */
const types = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
} as const;

const start = `const { spec } = document.currentScript.dataset;
SwaggerUIBundle({ dom_id: '#swagger-ui', url: spec, validatorUrl: null, deepLinking: true, withCredentials: true });
`;

/** A file that the page asks for. */
export interface Asset {
  readonly type: string;
  /** The text, or the path of the file. */
  readonly text?: string;
  readonly file?: string;
}

/**
 * The files behind the page of Swagger UI, by name, out of the package swagger-ui-dist: nothing comes from another host.
 *
 * @throws {TypeError} when that is not installed
 */
export function swaggerUiAssets(): ReadonlyMap<string, Asset> {
  const folder = folderOf('swagger-ui-dist');
  const files = Object.entries(types).map(
    ([name, type]) => [name, { type, file: join(folder, name) }] as const,
  );
  return new Map<string, Asset>([
    ...files,
    ['start.js', { type: types['swagger-ui-bundle.js'], text: start }],
  ]);
}

function folderOf(name: string): string {
  try {
    return dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
  } catch (cause) {
    throw new TypeError(
      `openapiRouter(): needs the package ${name}: npm install ${name}; or give docs: false`,
      {
        cause,
      },
    );
  }
}

/** Nothing but these files runs, and nobody else is asked for anything. */
export const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

/** The page; `here` leads to its files, `spec` to the document. */
export const swaggerUiPage = (title: string, { here, spec }: { here: string; spec: string }): string =>
  `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="${here}swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="${here}swagger-ui-bundle.js"></script>
<script src="${here}start.js" data-spec="${spec}"></script>
</body>
</html>
`;
