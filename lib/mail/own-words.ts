/** A name in one line: those of an older application may hold anything, and a line of ours, such as a link, must not look like one. */
export const oneLine = (name: string): string => name.replaceAll(/[\s\p{Cc}]+/gu, ' ').trim();

/** A name, which is people's own words, in which no reader of mail finds an address to click at. */
export const unlinked = (name: string): string => oneLine(name).replaceAll(/[.:@/]+(?=\S)/g, '$& ');
