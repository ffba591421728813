/** Changes that a hostile client would make, and some that only a broken one would. */
import { keys, numbers, values, words } from './texts.ts';
import { copy, type Member, type Node, nodes, pick, type Random, raw } from './tree.ts';

type ObjectNode = Extract<Node, { kind: 'object' }>;
type ArrayNode = Extract<Node, { kind: 'array' }>;

/** Changes the tree in one place, or in none where it has no such place. */
export function mutate(root: Node, random: Random): void {
  pick(mutations, random)(root, random);
}

type Mutation = (root: Node, random: Random) => void;

const mutations: readonly Mutation[] = [
  // One key twice: the same spelling, another one, before or behind, with its own value or another.
  onObject(({ members }, random) => {
    const twice = pick(members, random);
    const value = pick([() => copy(twice.value), () => oddValue(random), () => raw('null')], random)();
    members.splice(random(members.length + 1), 0, {
      key: random(2) === 0 ? twice.key : respell(twice.key, random),
      value,
    });
  }),
  onMember((member, random) => {
    member.key = respell(member.key, random);
  }),
  onMember((member, random) => {
    member.key = writeString(pick(keys, random), random);
  }),
  // What primes V8's guess of a key (decision 006): the text of an escaped key, itself escaped, cut somewhere.
  onObject(({ members }, random) => {
    const escaped = escapeSome(pick(members, random).key, random, 2);
    members.push({ key: JSON.stringify(escaped.slice(1, 1 + random(escaped.length))), value: raw('0') });
  }),
  onMember((member, random) => {
    member.key = escapeSome(member.key, random, 2);
  }),
  onObject(({ members }, random) => {
    members.splice(random(members.length + 1), 0, {
      key: writeString(pick(keys, random), random),
      value: oddValue(random),
    });
  }),
  onObject(({ members }, random) => {
    members.splice(random(members.length), 1);
  }),
  onMember((member) => {
    member.value = raw('null');
  }),
  onMember((member, random) => {
    member.value = oddValue(random);
  }),
  onMember((member, random) => {
    member.value = raw(pick(numbers, random));
  }),
  onMember((member, random) => {
    member.value = raw(writeString(pick(words, random), random));
  }),
  onMember((member, random) => {
    const value = member.value;
    member.value =
      random(2) === 0
        ? { kind: 'array', items: [value] }
        : { kind: 'object', members: [{ key: writeString(pick(keys, random), random), value }] };
  }),
  // A value from elsewhere in the document.
  (root, random) => {
    const member = anyMember(root, random);
    if (member !== undefined) member.value = copy(pick([...nodes(root)], random));
  },
  onArray(({ items }, random) => {
    items.splice(random(items.length + 1), 0, random(2) === 0 ? raw('null') : oddValue(random));
  }),
  onArray(({ items }, random) => {
    const item = items[random(Math.max(1, items.length))];
    if (item !== undefined) items.push(copy(item));
  }),
  // A string in other clothes.
  (root, random) => {
    const member = anyMember(root, random);
    if (member?.value.kind === 'raw' && member.value.text.startsWith('"')) {
      member.value = raw(escapeSome(member.value.text, random, 1 + random(4)));
    }
  },
  onMember((member, random) => {
    member.value = raw(
      pick(
        ['"\\ud800"', '"\\udc00x"', '"\\ud83d\\ude00"', '"\\u0000"', '"\\/"', '"\\x"', '"\\u00"', '"\t"', '"\u007f"'],
        random,
      ),
    );
  }),
  onMember((member, random) => {
    const depth = pick([1, 2, 3, 5, 8, 20, 50, 60, 61, 62, 63, 64, 65, 70], random);
    member.value =
      random(2) === 0
        ? raw('['.repeat(depth) + ']'.repeat(depth))
        : raw(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`);
  }),
];

function onObject(change: (object: ObjectNode, random: Random) => void): Mutation {
  return (root, random) => {
    const objects = [...nodes(root)].filter((node) => node.kind === 'object' && node.members.length > 0);
    const object = objects.length === 0 ? undefined : pick(objects, random);
    if (object?.kind === 'object') change(object, random);
  };
}

function onArray(change: (array: ArrayNode, random: Random) => void): Mutation {
  return (root, random) => {
    const arrays = [...nodes(root)].filter((node) => node.kind === 'array');
    const array = arrays.length === 0 ? undefined : pick(arrays, random);
    if (array?.kind === 'array') change(array, random);
  };
}

function onMember(change: (member: Member, random: Random) => void): Mutation {
  return (root, random) => {
    const member = anyMember(root, random);
    if (member !== undefined) change(member, random);
  };
}

function anyMember(root: Node, random: Random): Member | undefined {
  const members = [...nodes(root)].flatMap((node) => (node.kind === 'object' ? node.members : []));
  return members.length === 0 ? undefined : pick(members, random);
}

function oddValue(random: Random): Node {
  return raw(pick(pick([values, values, numbers], random), random));
}

function writeString(text: string, random: Random): string {
  const plain = JSON.stringify(text);
  return random(3) === 0 ? escapeSome(plain, random, 2) : plain;
}

/** Another spelling that a folding reader takes for the same key. */
function respell(key: string, random: Random): string {
  const letters = [...key];
  for (let tries = 1 + random(3); tries > 0; tries--) {
    const at = random(letters.length);
    const letter = letters[at] ?? '';
    if (letters[at - 1] === '\\') continue;
    const others = [letter.toUpperCase(), letter.toLowerCase()];
    if (/s/i.test(letter)) others.push('\u017f', '\\u017f', '\\u017F');
    if (/k/i.test(letter)) others.push('\u212a', '\\u212a');
    if (/i/i.test(letter)) others.push('\u0130', '\u0131');
    letters[at] = pick(others, random);
  }
  return letters.join('');
}

/** @param oneIn of how many characters one is escaped; those of escapes are left alone */
function escapeSome(text: string, random: Random, oneIn: number): string {
  return text.replace(/(\\u[0-9a-fA-F]{4}|\\.)|[^"\\]/g, (found: string, escaped: string | undefined) => {
    if (escaped !== undefined || found.length > 1 || random(oneIn) > 0) return found;
    const hex = found.charCodeAt(0).toString(16).padStart(4, '0');
    return `\\u${random(2) === 0 ? hex : hex.toUpperCase()}`;
  });
}

/** Changes what is no tree any more. */
export function damage(bytes: Buffer, random: Random): Buffer {
  const at = random(bytes.length + 1);
  const [before, behind] = [bytes.subarray(0, at), bytes.subarray(at)];
  const insert = (noise: Buffer | string) => Buffer.concat([before, Buffer.from(noise), behind]);
  switch (random(9)) {
    case 0:
      return insert(Buffer.from([pick([0xff, 0xc0, 0x80, 0xed, 0xf5, 0xfe, 0x00, 0x1f, 0x7f], random)]));
    case 1:
      return insert(
        pick(
          ['"', '\\', ':', ',', '{', '}', '[', ']', ' ', '\t', '/**/', '//\n', '\f', '\u00a0', '\ufeff', '\u2028'],
          random,
        ),
      );
    case 2:
      return Buffer.concat([before, behind.subarray(1 + random(3))]);
    case 3:
      return before;
    case 4:
      return Buffer.concat([
        Buffer.from(pick(['\ufeff', ' ', '\n\n', '\u0000', '\u001e', ")]}'\n", '\u00a0'], random)),
        bytes,
      ]);
    case 5:
      return Buffer.concat([
        bytes,
        Buffer.from(pick(['{}', ' ', '\n', 'x', '\u0000', ',', '}', '{"model":"other"}', '\u001a', '\ufeff'], random)),
      ]);
    case 6:
      return Buffer.concat([bytes, bytes]);
    case 7:
      return Buffer.from(bytes.toString('utf8'), pick(['utf16le', 'latin1'] as const, random));
    default: {
      const changed = Buffer.from(bytes);
      if (changed.length > 0) changed[random(changed.length)] = random(256);
      return changed;
    }
  }
}
