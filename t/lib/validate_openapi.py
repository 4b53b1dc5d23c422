#!/usr/bin/env python3
"""Holds answers of a server against an OpenAPI 3.1 document.

usage: validate_openapi.py openapi.yaml ANSWERS

ANSWERS has one JSON object a line: "name", "operation" (such as
"GET /projects/{project}/exports"), "query" (as it was sent), "status",
"headers" (pairs), "body" (base64).

Each line of output is "ok - ..." or "not ok - ...", the latter followed by
lines "# ..." that say why.  The document comes first, then each answer, then
what the document promises and no answer was.
"""

import base64
import json
import re
import sys
from urllib.parse import unquote_plus

import yaml
from jsonschema import Draft202012Validator, ValidationError, validators

METHODS = ('get', 'head', 'put', 'post', 'delete', 'patch', 'options', 'trace')

# of HTTP and nginx, not of the API
ANY_HEADERS = {'server', 'date', 'connection', 'keep-alive', 'content-type',
               'content-length', 'transfer-encoding'}

NO_BODY = (204, 304)


def in_order(validator, properties, instance, schema):
    """The keyword "properties", and the keys come in its order too."""

    yield from Draft202012Validator.VALIDATORS['properties'](
        validator, properties, instance, schema)

    # a part of an "allOf" names some keys only, and no order

    if isinstance(instance, dict) and 'required' in schema:
        known = [key for key in properties if key in instance]
        keys = [key for key in instance if key in properties]

        if keys != known:
            yield ValidationError('keys are %s, their order is %s'
                                  % (' '.join(keys), ' '.join(known)))


Validator = validators.extend(Draft202012Validator, {'properties': in_order})


class UniqueKeyLoader(getattr(yaml, 'CSafeLoader', yaml.SafeLoader)):
    """Of two equal keys YAML readers take one, and say nothing."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError('%s%s: twice' % (node.start_mark, key))
        return super().construct_mapping(node, deep)


def unique(pairs):
    """An object whose keys all differ."""

    keys = [key for key, _ in pairs]

    if len(keys) != len(set(keys)):
        raise ValueError('a key is there twice: %s' % ' '.join(keys))

    return dict(pairs)


def report(name, faults):
    print('%s - %s' % ('not ok' if faults else 'ok', name))

    for fault in faults[:10]:
        for line in str(fault).splitlines():
            print('# ' + line)


class Document:

    def __init__(self, path):
        with open(path, encoding='utf-8') as file:
            self.doc = yaml.load(file, Loader=UniqueKeyLoader)

        self.operations = {}
        self.inlined = {}
        self.validators = {}

        for template, item in self.doc['paths'].items():
            shared = item.get('parameters', [])

            for method in METHODS:
                if method in item:
                    operation = dict(item[method])
                    operation['parameters'] = [
                        self.resolve(p) for p in
                        shared + operation.get('parameters', [])]
                    self.operations[method.upper() + ' ' + template] = operation

            # of methods that there are not

            if 'x-other-methods' in item:
                self.operations['* ' + template] = {
                    'responses': item['x-other-methods'], 'parameters': None}

    def resolve(self, node):
        while isinstance(node, dict) and '$ref' in node:
            node = self.at(node['$ref'])
        return node

    def at(self, ref):
        if not ref.startswith('#/'):
            raise KeyError(ref)

        node = self.doc

        for name in ref[2:].split('/'):
            node = node[name.replace('~1', '/').replace('~0', '~')]

        return node

    def inline(self, node):
        """A schema with what it refers to in the place of references."""

        if isinstance(node, list):
            return [self.inline(member) for member in node]

        if not isinstance(node, dict):
            return node

        if '$ref' not in node:
            return {key: self.inline(value) for key, value in node.items()}

        ref = node['$ref']

        if ref not in self.inlined:
            self.inlined[ref] = self.inline(self.at(ref))

        # beside it there may be a description, which says nothing of a value

        return self.inlined[ref]

    def errors(self, schema, instance):
        """What is wrong with a value."""

        if id(schema) not in self.validators:
            self.validators[id(schema)] = Validator(self.inline(schema))

        faults = []

        for error in self.validators[id(schema)].iter_errors(instance):
            where = '/'.join(str(part) for part in error.absolute_path)
            faults.append('%s: %s' % (where or '(all)', error.message))

        return faults


# ---- the document by itself

def walk(node, path=''):
    yield path, node

    if isinstance(node, dict):
        items = node.items()
    elif isinstance(node, list):
        items = enumerate(node)
    else:
        return

    for key, value in items:
        yield from walk(value, '%s/%s' % (path, str(key).replace('/', '~1')))


def check_refs(document):
    faults = []
    used = set()

    for path, node in walk(document.doc):
        if isinstance(node, dict) and isinstance(node.get('$ref'), str):
            used.add(node['$ref'])

            if set(node) - {'$ref', 'description'}:
                faults.append('%s: more than a description beside $ref' % path)

            try:
                document.at(node['$ref'])
            except (KeyError, TypeError):
                faults.append('%s: no %s' % (path, node['$ref']))

    for kind, members in document.doc['components'].items():
        for name in members:
            if kind != 'securitySchemes' \
               and '#/components/%s/%s' % (kind, name) not in used:
                faults.append('%s %s is not used' % (kind, name))

    report('the document: every $ref leads somewhere, nothing is left over',
           faults)


def check_schemas(document):
    faults = []

    for path, node in walk(document.doc):
        if not isinstance(node, dict):
            continue

        schemas = []

        if path.startswith('/components/schemas/') and path.count('/') == 3:
            schemas.append(node)
        if 'schema' in node and not path.endswith('/properties'):
            schemas.append(node['schema'])

        for schema in schemas:
            for error in Draft202012Validator(
                    Draft202012Validator.META_SCHEMA).iter_errors(schema):
                faults.append('%s: %s' % (path, error.message))

        # closed, and every key of it named

        if node.get('type') == 'object' and 'properties' in node \
           and '/schemas/' in path:
            if node.get('additionalProperties') is not False:
                faults.append('%s: is not closed' % path)
            if not set(node.get('required', [])) <= set(node['properties']):
                faults.append('%s: requires what it does not name' % path)

    report('the document: schemas are schemas', faults)


def check_operations(document):
    faults = []
    ids = []

    if document.doc.get('openapi') != '3.1.0':
        faults.append('not OpenAPI 3.1.0')

    for name, operation in document.operations.items():
        template = name.split(' ', 1)[1]

        for status, response in operation['responses'].items():
            if not re.fullmatch('[1-5][0-9][0-9]', str(status)):
                faults.append('%s: %s is no status' % (name, status))
            if not document.resolve(response).get('description'):
                faults.append('%s: %s has no description' % (name, status))

        if operation['parameters'] is None:
            continue

        ids.append(operation.get('operationId'))

        parameters = [(p['in'], p['name']) for p in operation['parameters']]
        if len(parameters) != len(set(parameters)):
            faults.append('%s: a parameter is there twice' % name)
        if sorted(n for i, n in parameters if i == 'path') \
           != sorted(re.findall(r'\{(\w+)\}', template)):
            faults.append('%s: parameters of the path' % name)

        for requirement in operation['security']:
            for scheme in requirement:
                if scheme not in document.doc['components']['securitySchemes']:
                    faults.append('%s: no security scheme %s' % (name, scheme))

    if None in ids or len(ids) != len(set(ids)):
        faults.append('an operationId is missing, or there twice')

    report('the document: operations are whole', faults)


def check_examples(document):
    faults = []
    count = 0

    for path, node in walk(document.doc):
        if not isinstance(node, dict):
            continue

        examples = []

        if 'schema' in node and '/schemas/' not in path:
            if 'example' in node:
                examples.append(node['example'])
            for example in node.get('examples', {}).values():
                examples.append(document.resolve(example)['value'])
            schema = node['schema']

        elif path.startswith('/components/schemas/') \
                and isinstance(node.get('examples'), list):
            examples = node['examples']
            schema = node

        for example in examples:
            count += 1
            faults += ['%s: %s' % (path, fault)
                       for fault in document.errors(schema, example)]

    if count < 20:
        faults.append('only %d examples' % count)

    report('the document: %d examples are what they show' % count, faults)


# ---- answers

def coerced(document, schema, text):
    """A value of a header or query as its schema would have it."""

    if document.resolve(schema).get('type') == 'integer' \
       and re.fullmatch('-?[0-9]+', text):
        return int(text)

    return text


def check_headers(document, response, headers):
    faults = []
    seen = {}

    for name, value in headers:
        seen.setdefault(name.lower(), []).append(value)

    documented = {name.lower(): document.resolve(header)
                  for name, header in response.get('headers', {}).items()}

    for name, header in documented.items():
        values = seen.get(name, [])

        if len(values) > 1:
            faults.append('header %s is there %d times' % (name, len(values)))
        if not values and header.get('required'):
            faults.append('no header %s' % name)

        for value in values:
            faults += ['header %s: %s' % (name, fault) for fault in
                       document.errors(header['schema'],
                                       coerced(document, header['schema'],
                                               value))]

    for name in seen:
        if name not in documented and name not in ANY_HEADERS:
            faults.append('header %s is not in the document' % name)

    return faults


def check_body(document, method, status, response, headers, body):
    headers = {name.lower(): value for name, value in headers}
    content = response.get('content', {})

    if method == 'HEAD' or status in NO_BODY:
        if body:
            return ['there is a body']
        if status in NO_BODY:
            return ['a type of nothing'] if 'content-type' in headers else []

    elif 'content-length' in headers \
            and int(headers['content-length']) != len(body):
        return ['Content-Length: %s of %d bytes'
                % (headers['content-length'], len(body))]

    if not content:
        return ['a body is not in the document'] if body else []

    media = headers.get('content-type')

    if media is None:
        return ['no Content-Type']

    if media not in content:
        if '*/*' not in content:
            return ['Content-Type: %s' % media]
        media = '*/*'

    schema = content[media].get('schema')

    if method == 'HEAD' or schema is None:
        return []

    try:
        value = json.loads(body.decode('utf-8'), object_pairs_hook=unique)
    except ValueError as error:
        return ['no JSON: %s' % error, body[:500]]

    return document.errors(schema, value)


def check_query(document, operation, status, query):
    """Good values are not refused, and bad ones not taken."""

    names = {}

    for pair in filter(None, (query or '').split('&')):
        name, _, value = pair.partition('=')
        names.setdefault(unquote_plus(name), []).append(unquote_plus(value))

    faults = []

    for parameter in operation['parameters']:
        if parameter['in'] != 'query':
            continue

        values = names.pop(parameter['name'], None)
        schema = parameter['schema']

        if values is None:
            if parameter.get('required'):
                faults.append('no %s' % parameter['name'])
            continue

        value = values if schema.get('type') == 'array' \
            else coerced(document, schema, values[-1])

        faults += ['%s: %s' % (parameter['name'], fault)
                   for fault in document.errors(schema, value)]

    faults += ['%s is not in the document' % name for name in names
               if name.startswith('filter[')]

    if status in (400, 422):
        return [] if faults else ['refused, but the document allows it']

    return faults if status < 400 else []


def check_answer(document, answer):
    name = answer['operation']
    method, template = name.split(' ', 1)
    status = answer['status']

    if name not in document.operations:
        name = '* ' + template

    if name not in document.operations:
        return ['not in the document'], None

    operation = document.operations[name]
    responses = operation['responses']

    if str(status) not in responses:
        return ['%s: %d is not in the document'
                % (answer['operation'], status)], None

    response = document.resolve(responses[str(status)])
    body = base64.b64decode(answer['body'])

    faults = check_headers(document, response, answer['headers'])
    faults += check_body(document, method, status, response,
                         answer['headers'], body)

    if operation['parameters'] is not None and not answer.get('unchecked') \
       and status != 404:
        faults += check_query(document, operation, status, answer['query'])

    return faults, (name, str(status))


# ---- what was not seen

def codes(document, schema):
    """The codes that an error of this schema may have."""

    schema = document.resolve(schema)

    for part in schema.get('allOf', []):
        yield from codes(document, part)

    error = schema.get('properties', {}).get('error', {})
    yield from error.get('properties', {}).get('code', {}).get('enum', [])


def check_seen(document, seen, bodies):
    for name, operation in document.operations.items():
        missing = [status for status in operation['responses']
                   if (name, status) not in seen]
        report('%s: every status was seen' % name,
               ['not seen: %s' % ' '.join(missing)] if missing else [])

    faults = []

    for name, operation in document.operations.items():
        for status, response in operation['responses'].items():
            schema = document.resolve(response).get('content', {}).get(
                'application/json', {}).get('schema')

            if name.startswith('HEAD ') or schema is None:
                continue

            got = {b['error']['code'] for b in bodies.get((name, status), [])
                   if isinstance(b.get('error'), dict)}

            faults += ['%s: %s: %s' % (name, status, code)
                       for code in codes(document, schema) if code not in got]

    report('every code of an error was seen', faults)

    envelope = document.at('#/components/schemas/ProjectEnvelope')
    states = envelope['properties']['operation_grouping_status']['enum']
    got = {b.get('operation_grouping_status')
           for answers in bodies.values() for b in answers}

    report('every state of an operation was seen',
           [state for state in states if state not in got])


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)

    document = Document(sys.argv[1])

    check_refs(document)
    check_schemas(document)
    check_operations(document)
    check_examples(document)

    seen = set()
    bodies = {}

    with open(sys.argv[2], encoding='utf-8') as file:
        for line in file:
            answer = json.loads(line)
            faults, key = check_answer(document, answer)
            report('%s %s, %s' % (answer['operation'], answer['status'],
                                  answer['name']), faults)

            if key is None:
                continue

            seen.add(key)

            try:
                body = json.loads(base64.b64decode(answer['body']))
            except ValueError:
                continue

            if isinstance(body, dict):
                bodies.setdefault(key, []).append(body)

    check_seen(document, seen, bodies)


main()
