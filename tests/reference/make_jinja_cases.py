"""Small templates and what Jinja2 makes of them, for tests/jinja.

    pip install jinja2==3.1.6
    python tests/reference/make_jinja_cases.py > tests/fixtures/jinja/cases.jsonl

A line has `template`, `text` where Jinja2 renders it or `error` (the kind of exception) where it
does not, and `generation` (spans in code points) where the template has such blocks. All see VARIABLES. The
environment is set as chat templates are rendered: trim_blocks, lstrip_blocks, loop controls, an immutable
sandbox, a plain tojson, raise_exception and the generation block.
"""
import json
import re
import sys

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

VARIABLES = {
    "messages": [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "  Hi there \n"},
        {"role": "assistant", "content": "Hello, wörld 🌍", "tool_calls": [{"name": "f", "arguments": {"x": 1, "y": [1.5, None, True]}}]},
    ],
    "bos_token": "<s>", "eos_token": "</s>", "n": 3, "x": 1.5, "flag": True, "nothing": None, "empty": "",
    "word": "Grüße <a> & 'b'", "numbers": [3, 1, 2], "nested": {"a": {"b": [10, 20, 30]}, "items": 5, "z": "q"},
    "people": [{"name": "Bo", "age": 3, "tags": ["x", "y"]}, {"name": "al", "age": 2}, {"name": "Cy", "age": 5, "ok": False}],
    "tools": [{"type": "function", "function": {"name": "get", "parameters": {"type": "object", "properties": {"é": {"type": "string"}}}}}],
}

EXPRESSIONS = r"""
1 + 2 * 3 ;; 2 ** 3 ** 2 ;; -2 ** 2 ;; 7 // 2 ;; -7 // 2 ;; -7 % 3 ;; 7 % -3 ;; 7.5 // 2 ;; -7.5 % 2 ;; 1 / 4 ;; 4 / 2 ;; 10 - 3 - 2
1_000 + 1 ;; 1e3 ;; 1.5e-7 ;; 1e16 ;; 123456789012345678 ;; 0.1 + 0.2 ;; 1e22 ;; 3.0 ;; -0.0 ;; 1 / 3 ;; 2.5e10 ;; 100000.0 * 1e10
True + 1 ;; 1 == 1.0 ;; 1 == True ;; '1' == 1 ;; none == none ;; undefined_name == undefined_name ;; undefined_name == none
1 < 2 < 3 ;; 1 < 3 < 2 ;; 3 > 2 >= 2 ;; 'a' < 'b' ;; [1, 2] < [1, 3] ;; (1, 2) == [1, 2] ;; (1, 2) == (1, 2) ;; 1 != 2 ;; 'é' > 'z'
not true ;; not '' and 1 ;; 0 or 'x' ;; '' or none ;; 1 and 0 ;; true and 'yes' ;; none or 0 or [] ;; not not 3
'a' in 'abc' ;; 'd' not in 'abc' ;; 1 in [1, 2] ;; 'role' in messages[0] ;; 'x' in undefined_name ;; 3 in numbers and 4 not in numbers ;; '' in 'a'
'a' ~ 1 ~ none ~ true ~ 1.0 ;; 'a' + 'b' ;; [1] + [2] ;; (1,) + (2,) ;; 'ab' * 3 ;; 3 * [1, 2] ;; [0] * 0 ;; 'a' * -1
'x' if flag else 'y' ;; 'x' if empty ;; 'x' if empty else 'y' if nothing else 'z' ;; ('x' if n > 2) ~ '!'
numbers[0] ;; numbers[-1] ;; numbers[5] ;; numbers[-4] ;; numbers[1:] ;; numbers[:-1] ;; numbers[::-1] ;; numbers[::2] ;; numbers[-2:] ;; numbers[5:] ;; numbers[2:0:-1] ;; numbers[:] ;; numbers[:100] ;; numbers[-100:2] ;; numbers[100::-1] ;; numbers[-100::-1]
word[0] ;; word[2] ;; word[-1] ;; word[2:5] ;; word[::-1] ;; word[:3] ;; word[-3:] ;; word[100] ;; word[1:10:3] ;; 'wörld 🌍'[-1] ;; 'wörld 🌍'[::-2] ;; ''[0] ;; 'abc'[true] ;; 'abcdef'[4:1:-1]
(1, 2, 3)[1:] ;; (1,)[0] ;; () ;; (1, ) ;; [] ;; {} ;; {'a': 1, 'b': [1, 'x']} ;; [none, true, 1.0, 'it\'s', "say \"x\"", 'both \' and "'] ;; {'k': 'line\nbreak\ttab\\'} ;; [(1, 2), {'a': (3,)}]
messages[0].role ;; messages[0]['role'] ;; messages[0].nothing ;; messages[0]['nothing'] is defined ;; nested.a.b[1] ;; nested['a']['b'][-1] ;; nested.a.b.1 ;; nested['items'] ;; nested.z ;; nested.get('z') ;; nested.get('q') ;; nested.get('q', 7) ;; nested.get('q', default=7)
nested.keys() | list ;; nested.values() | list | length ;; nested.items() | list ;; nested.items() | length
messages | length ;; word | length ;; nested | count ;; empty | length ;; undefined_name | length ;; 'wörld 🌍' | length
word.upper is defined ;; 'abc'.upper() ;; 'ABC dEf'.lower() ;; 'hello world'.title() ;; "they're bill's".title() ;; 'hELLO'.capitalize() ;; '3rd try'.title()
' a b '.strip() ~ '|' ;; ' a '.lstrip() ~ '|' ;; ' a '.rstrip() ~ '|' ;; 'xxaxx'.strip('x') ;; 'xyaxy'.lstrip('yx') ;; 'abc'.rstrip('cb') ;; '\u2003a\u00a0'.strip() ;; 'éaé'.strip('é') ;; 'a'.strip('') ;; '\n\x1f a'.strip()
'a,b,,c'.split(',') ;; 'a b  c '.split() ;; 'a,b,c'.split(',', 1) ;; 'a  b c'.split(None, 1) ;; ''.split() ;; ''.split(',') ;; 'a,b,c'.rsplit(',', 1) ;; ' a b  c '.rsplit(None, 1) ;; 'a b c'.rsplit(maxsplit=1) ;; 'abc'.split('x') ;; 'a\u2003b'.split() ;; 'x</think>y</think>z'.split('</think>')[-1] ;; 'a b c d'.split(' ', 2) ;; ' a  b '.split(None, 0) ;; 'aaa'.split('aa') ;; 'aaa'.rsplit('aa')
'a\nb\r\nc\n'.splitlines() ;; 'a\nb'.splitlines(true) ;; ''.splitlines() ;; 'a\n\nb'.splitlines()
'hello'.startswith('he') ;; 'hello'.startswith(('x', 'he')) ;; 'hello'.endswith('lo') ;; 'hello'.endswith(('x', 'y')) ;; 'hello'.startswith('')
'aXbXc'.replace('X', '-') ;; 'aXbXc'.replace('X', '-', 1) ;; 'abc'.replace('', '-') ;; 'abc'.replace('', '-', 2) ;; 'aaa'.replace('aa', 'b') ;; 'é'.replace('', '.') ;; 'abc'.replace('b', '') ;; ''.replace('', 'x')
'hello'.find('l') ;; 'hello'.find('z') ;; 'héllo'.find('l') ;; 'hello'.rfind('l') ;; 'hello'.count('l') ;; 'aaa'.count('aa') ;; 'abc'.count('') ;; ', '.join(['a', 'b']) ;; ''.join([]) ;; '-'.join('abc')
'a=b=c'.partition('=') ;; 'a=b=c'.rpartition('=') ;; 'abc'.partition('=') ;; 'abc'.rpartition('=') ;; 'prefix'.removeprefix('pre') ;; 'prefix'.removeprefix('x') ;; 'a.txt'.removesuffix('.txt')
'123'.isdigit() ;; '12a'.isdigit() ;; ''.isdigit() ;; 'abc'.isalpha() ;; 'a1'.isalnum() ;; ' \t'.isspace() ;; 'ABC'.isupper() ;; 'AbC'.isupper() ;; 'abc1'.islower() ;; '1'.islower()
[1, 2, 1].count(1) ;; [1, 2].index(2) ;; (1, 2).index(2)
'  a ' | trim ~ '|' ;; 'xax' | trim('x') ;; none | trim ;; 5 | trim ;; undefined_name | trim ~ '|'
undefined_name | default('d') ;; empty | default('d') ;; empty | default('d', true) ;; none | default('d') ;; none | d('d', boolean=true) ;; undefined_name.x is defined ;; undefined_name | default ;; undefined_name | default(none)
messages | tojson ;; nested | tojson ;; nested | tojson(indent=2) ;; [] | tojson(indent=2) ;; {} | tojson ;; [1, [2, {'a': []}]] | tojson(indent=4) ;; {'b': 1, 'a': 2} | tojson(sort_keys=true) ;; word | tojson ;; '\u2028\x00\x1f\x7f"\\/\b\f\n\r\t' | tojson ;; 'é🌍' | tojson(ensure_ascii=true) ;; (1, 2.0, 1e16, 1e-5) | tojson ;; {1: 'a', none: 'b', true: 'c', 1.5: 'd'} | tojson ;; {'a': 1} | tojson(separators=(',', ':')) ;; tojson(undefined_name) ;; tools | tojson(indent='\t')
tools[0] | string ;; messages[2] | string ;; [1.5, none] | string ;; none | string ;; 'a' | string ;; tools | string
'a-b c' | upper ;; 'A' | lower ;; 'hello world-foo (bar)' | title ;; 'hELLO' | capitalize ;; 5 | upper ;; true | lower
'a.b' | replace('.', '-') ;; 'aaa' | replace('a', 'b', 2) ;; 5 | replace(5, 6)
numbers | first ;; numbers | last ;; [] | first ;; 'abc' | first ;; 'abc' | last ;; numbers | join(', ') ;; numbers | join ;; people | join('-', attribute='name') ;; [none, 1, 'x'] | join('/') ;; 'abc' | join(',') ;; nested | join(',')
people | map(attribute='name') | list ;; people | map(attribute='zip', default='-') | list ;; ['a', 'B'] | map('upper') | list ;; [' a '] | map('trim') | join ;; people | map(attribute='tags.0', default=0) | list ;; [1, 2] | map('string') | join('+') ;; ['a.b'] | map('replace', '.', '!') | list
people | selectattr('ok', 'defined') | map(attribute='name') | join ;; people | rejectattr('tags') | map(attribute='name') | list ;; people | selectattr('age', '>', 2) | map(attribute='age') | list ;; people | selectattr('name', 'equalto', 'Bo') | list | length ;; numbers | select('odd') | list ;; numbers | reject('odd') | list ;; [0, 1, '', 'a'] | select | list ;; [0, 1] | reject | list ;; numbers | select('in', [1, 2]) | list ;; people | selectattr('name', 'in', ['al', 'Cy']) | map(attribute='age') | sum
numbers | sort ;; numbers | sort(reverse=true) ;; ['b', 'A', 'c'] | sort ;; ['b', 'A', 'c'] | sort(case_sensitive=true) ;; people | sort(attribute='age') | map(attribute='name') | list ;; nested.a.b | sum ;; [1, 2.5] | sum ;; people | sum(attribute='age') ;; numbers | min ;; numbers | max ;; people | max(attribute='age') ;; ['b', 'A'] | min
numbers | reverse | list ;; 'abc' | reverse ;; ['a', 'A', 'b'] | unique | list ;; ['a', 'A'] | unique(case_sensitive=true) | list ;; {'b': 1, 'a': 2} | dictsort ;; {'b': 1, 'a': 2} | dictsort(by='value') ;; {'b': 1, 'a': 2} | items | list
'12' | int ;; 'x' | int ;; 'x' | int(7) ;; '3.7' | int ;; 3.7 | int ;; -3.7 | int ;; none | int ;; true | int ;; ' 5 ' | int ;; '1.5' | float ;; 'x' | float ;; 3 | float ;; '1e3' | float ;; 2.5 | round ;; 3.14159 | round(2) ;; 2.1 | round(0, 'ceil') ;; 2.9 | round(method='floor') ;; 5 | round ;; -3 | abs ;; -2.5 | abs ;; 0.5 | round ;; 1.5 | round
'a\nb' | indent ;; 'a\nb' | indent(2) ;; 'a\nb' | indent(2, true) ;; 'a\n\nb' | indent(2, blank=true) ;; 'a\n' | indent ~ '|' ;; 'a\nb' | indent('> ')
'<b>' | safe ;; (tools | tojson | safe) ;; 'abc' | list ;; {'a': 1} | list ;; (1, 2) | list ;; range(3) | list
range(3) | list ;; range(1, 4) | list ;; range(5, 0, -2) | list ;; range(0) | list ;; range(3)[1] ;; range(10)[2:4] | list ;; range(3) | length
nothing is none ;; empty is none ;; undefined_name is defined ;; undefined_name is undefined ;; n is number ;; flag is number ;; flag is boolean ;; n is integer ;; flag is integer ;; x is float ;; word is string ;; messages is iterable ;; messages is sequence ;; messages is mapping ;; nested is mapping ;; nested is sequence ;; undefined_name is iterable ;; n is iterable
3 is odd ;; 4 is even ;; 4 is divisibleby 2 ;; 4 is divisibleby(3) ;; 'a' is in 'abc' ;; 1 is in [2] ;; 3 is eq 3 ;; 3 is ne(4) ;; 3 is gt 2 ;; 3 is lessthan 2 ;; 'a' is lower ;; 'A' is upper ;; '1' is lower ;; true is true ;; false is false ;; 1 is true ;; n is sameas 3 ;; none is sameas none ;; range is callable ;; n is callable ;; n is not none ;; not n is none ;; n is not defined or true
n is odd and flag ;; 'x' if n is odd else 'y' ;; (n is defined) ~ '' ;; n is defined == true ;; not n is defined
namespace(a=1).a ;; namespace({'b': 2}, a=1).b ;; namespace() is defined ;; dict(a=1, b=2) ;; dict([('x', 1)]) ;; dict({'y': 2}, z=3)
'a' 'b' "c" ;; 'tab\there' ;; 'nl\nx' ;; 'q\'q' ;; "\u00e9\x41\101" ;; '\d\.' ;; 'a\
b' ;; "\U0001F30D"
[x for x in numbers] ;; undefined_name.y ;; undefined_name['y'] ;; undefined_name() ;; undefined_name + 'a' ;; undefined_name ~ 'a' ;; -undefined_name ;; none.x ;; none['x'] is defined ;; none[0] is defined ;; 5.x is defined ;; n.y is defined
'a' + 1 ;; 1 + 'a' ;; none + 'a' ;; [1] + (2,) ;; 'a' < 1 ;; none < 1 ;; 1 in 5 ;; 1 in 'a' ;; 1 // 0 ;; 1 / 0 ;; 1 % 0 ;; 'a' - 'b' ;; {} + {} ;; -'a' ;; 'a'.nope() ;; n() ;; messages.append(1) ;; nested.update({}) ;; nested.pop('z') ;; 'a'.split('') ;; 'abc'[::0] ;; n[1:] ;; numbers['a':] ;; [] | max ;; 'a' | nofilter ;; 'a' is notest ;; range(1000000) | list ;; raise_exception('No!') ;; {[]: 1} ;; 'x' | replace('a') ;; 'x' | trim(1, 2) ;; 'a' | default('b', nope=1) ;; 'x' | length(1) ;; none | length ;; 5 | length ;; none | join ;; 5 | list ;; undefined_name | int ;; undefined_name | tojson ;; messages | map(attribute='content') | length ;; people | selectattr('ok') | last ;; 'a'.join([1]) ;; 'ab'.startswith(1) ;; numbers | sort(attribute='x') ;; [1, 'a'] | sort
messages | selectattr('role', 'equalto', 'nobody') and 'true' ;; (messages | selectattr('role', 'equalto', 'nobody') | list) and 'true' ;; (numbers | map('string')) is sequence ;; (numbers | map('string')) is iterable
"""

STATEMENTS = r"""
{% for m in messages %}{{ loop.index }}/{{ loop.length }}:{{ m.role }}{{ ',' if not loop.last }}{% endfor %}
{% for i in numbers %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.depth }}{{ loop.depth0 }} {% endfor %}
{% for i in numbers %}{{ loop.previtem }}<{{ i }}>{{ loop.nextitem }};{% endfor %}
{% for i in numbers %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}
{% for i in numbers %}{{ loop.cycle('a', 'b') }}{% endfor %}
{% for i in [1, 1, 2, 2, 1] %}{{ loop.changed(i) }} {% endfor %}
{% for k, v in nested.items() %}{{ k }}={{ v }};{% endfor %}
{% for k, v in nested | items %}{{ k }};{% endfor %}
{% for (a, b) in [(1, 2), (3, 4)] %}{{ a + b }} {% endfor %}
{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for k in nested %}{{ k }}{% endfor %}
{% for c in 'aé🌍' %}[{{ c }}]{% endfor %}
{% for i in [] %}x{% else %}none{% endfor %}
{% for i in undefined_name %}x{% else %}none{% endfor %}
{% for i in numbers if i > 1 %}{{ loop.index }}:{{ i }} {% else %}none{% endfor %}
{% for i in numbers if i > 9 %}{{ i }}{% else %}none{% endfor %}
{% for i in numbers if i > 1 %}{{ loop.length }}{{ loop.last }}{% endfor %}
{% set ns = namespace(done=false) %}{% for i in numbers if not ns.done %}{{ i }}{% if i == 1 %}{% set ns.done = true %}{% endif %}{% endfor %}
{% set ns = namespace(done=false) %}{% for i in numbers if not ns.done %}{{ i }}{{ loop.last }}{% if i == 3 %}{% set ns.done = true %}{% endif %}{% endfor %}
{% for i in numbers %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}
{% for i in numbers %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% else %}e{% endfor %}
{% for i in numbers %}{% for j in [] %}{% else %}{% continue %}{% endfor %}x{% endfor %}
{% for i in [1, 2] %}{% for j in [3, 4] %}{{ loop.index }}{{ i }}{{ j }} {% endfor %}{{ loop.index }}{% endfor %}
{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = x + 10 %}{{ x }} {% endfor %}{{ x }}
{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}
{% for i in [1] %}{% set y = 5 %}{% endfor %}{{ y is defined }}
{% for i in [1, 2] %}{% if loop.first %}{% set z = 'set' %}{% endif %}{{ z }}|{% endfor %}
{% set ns = namespace(n=0) %}{% for i in numbers %}{% set ns.n = ns.n + i %}{% endfor %}{{ ns.n }}
{% set ns = namespace() %}{{ ns.a is defined }}{% set ns.a = 1 %}{{ ns.a }}{{ ns['a'] }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c = 1, 2 %}{{ c }}
{% set a, b = [1] %}
{% set t %}hello {{ n }}{% endset %}[{{ t }}]
{% set t | upper | trim %} hello {% endset %}[{{ t }}]
{% set t %}{% set inner = 1 %}{% endset %}{{ inner is defined }}
{% set ns = namespace() %}{% set ns.t %}x{% endset %}{{ ns.t }}
{% set messages = messages[1:] %}{{ messages | length }}{{ messages[0].role }}
{% macro f(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ f(1) }} {{ f(1, 3) }} {{ f(a=5, c=6) }} {{ f() }}
{% macro f(a) %}<{{ a }}>{% endmacro %}{{ f('x') | upper }}{{ f('y') ~ '!' }}{% set z = f(1) %}{{ z | length }}
{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}
{% macro f() %}{{ outer }}{% endmacro %}{% set outer = 'seen' %}{{ f() }}
{% macro f() %}{% set inner = 1 %}{{ inner }}{% endmacro %}{{ f() }}{{ inner is defined }}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1, 2) }}
{% macro f(a) %}{{ a }}{% endmacro %}{{ f(b=2) }}
{% for i in [1, [2, [3]], 4] recursive %}{% if i is iterable %}({{ loop(i) }}){% else %}{{ i }}{{ loop.depth }}{% endif %}{% endfor %}
{% for i in [1] %}{{ loop([2]) }}{% endfor %}
{% if n == 1 %}a{% elif n == 2 %}b{% elif n == 3 %}c{% else %}d{% endif %}
{% if undefined_name %}a{% else %}b{% endif %}{% if messages %}c{% endif %}{% if {} %}d{% endif %}{% if 0.0 %}e{% endif %}
{% if messages[0]['role'] == 'system' and loop is not defined %}ok{% endif %}
{{ 'a' }}{# comment #}{{ 'b' }}{#- c -#} {{ 'd' }}
{% raw %}{{ not rendered }} {% if %}{% endraw %}
  {%- raw -%}  x  {%- endraw -%}  y
a {%- if true -%} b {%- endif -%} c
a {%+ if true +%} b {%+ endif %} c
a {{- 'x' -}} b {{ 'y' }} c
{{ {'a': {'b': 1}} }}{{ {'a': 1}['a'] }}{{ [[1, 2], [3]][0][1] }}{{ '}}' }}{{ "%}" }}
{{ messages[-1]['tool_calls'][0].arguments | tojson }}
{{ messages[-1].tool_calls[0]['arguments'].y[0] }}
{%for m in messages%}{%if m.role=='user'%}{{m.content|trim}}{%endif%}{%endfor%}
{% for message in messages[::-1] %}{{ message.role }} {% endfor %}
{{ bos_token }}{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] | trim + eos_token + '\n' }}{% endfor %}
{% generation %}a{% endgeneration %}b{% generation %}é{{ n }}{% endgeneration %}
{% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% endif %};{% endfor %}
{% generation %}{% set g = 1 %}{{ g }}{% endgeneration %}{{ g is defined }}
{% set r = [] %}{% for m in messages %}{% set r = r + [m.role] %}{% endfor %}{{ r }}
{% set r = namespace(l=[]) %}{% for m in messages %}{% set r.l = r.l + [m.role] %}{% endfor %}{{ r.l | join(',') }}
{% set g = numbers | map('string') %}{{ g | join }}{{ g | join }}|
{{ x.__class__ }}{{ ''.__class__ is defined }}
{% if 'a' in nested %}yes{% endif %}{% if 'q' not in nested %}no{% endif %}
{{ loop is defined }}{% for loop in [1] %}{{ loop }}{% endfor %}
{% set f = 'abc'.upper %}{{ f() }}
{% set q = messages | selectattr('role', 'equalto', 'user') | list %}{{ q | length }}{{ (q | first).content }}
{% for m in messages %}{% set content = m.content if m.content is string else '' %}{{ content | length }} {% endfor %}
{% for m in messages if m.role != 'system' %}{{ loop.index0 % 2 == 0 }} {% endfor %}
{% unknown %}
{% for %}{% endfor %}
{% if true %}
{{ 1 + }}
{{ 'open }}
{{ (1 }}
{{ 1) }}
{% for i in numbers %}{% endif %}
{% set = 1 %}
{% break %}
{% set true = 1 %}
{{ a b }}
{{ 1 is odd is odd }}
{{ f(a=1, 2) }}
{% if %}x{% endif %}
{% else %}
{{
{# never closed
{% raw %}x
{% macro f(a=1, b) %}{% endmacro %}
"""

# Whitespace control, one template each; a real line end is part of it.
LAYOUTS = [
    "a\n{% if true %}\nb\n{% endif %}\nc\n", "a\n  {% if true %}\n  b\n  {% endif %}\nc\n\n", "a {% if true %} b {% endif %} c\n",
    "  {% if true %}x{% endif %}\n", "\n  {%- if true %}x{% endif -%}\n y", "a\r\n{% if true %}\r\nb\r{% endif %}\r\nc\r\n",
    "{# c #}\nx", "  {# c #}  \nx", "a  {#- c -#}  b", "  {{ 1 }}\n  {{ 2 }}\n", "{{ 1 }}\n\n{{ 2 }}", "  {%+ if true %}x\n  {%+ endif %}y",
    "{% if true +%}\nx{% endif +%}\ny", "{%- for i in [1, 2] -%}\n  {{ i }}\n{%- endfor -%}\n", "\t {% set x = 1 %}\n\t{{ x }}",
    "x\u2003{%- if true %}y{% endif -%}\u2003z", "a{% raw %}\n {{ x }}\n{% endraw %}\nb", " {% raw %} x {% endraw %} \nb", "{% if true %}\n\n\nx{% endif %}",
    "{{ 'a\nb' }}", "{{\n'a'\n~\n'b'\n}}", "a\n\n", "\n\na", "", "\n", "  ", "{%\nif true\n%}x{%\nendif\n%}", "é {% if true %}é{% endif %}\n é",
    "{% for m in messages %}\n{{ m.role }}\n{% endfor %}\nend", "{% generation %}\n  a\n{% endgeneration %}\nb", "{% if true %}a\n{%- endif %}\nb",
    "{#-#}x", "{#- -#} x", "{{-1}}", "{{ -1 }}", "{{- 1 -}}\n\n x", "a{{ '{{' }}b", "{ {% if true %}{{ '{' }}{% endif %} }", "}} %} #}", "100%{}",
]


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_mark"), [], [], body).set_lineno(line)

    def _mark(self, caller):
        text = caller()
        begin = len("".join(self.environment.blocks))
        self.environment.spans.append([begin, begin + len(text)])
        return text


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    return env


def case(env, template):
    env.blocks, env.spans = [], []
    line = {"template": template}
    try:
        for block in env.from_string(template).generate(**VARIABLES):
            env.blocks.append(block)
        line["text"] = "".join(env.blocks)
        if env.spans:
            line["generation"] = env.spans
    except Exception as error:  # the kind is kept for the reader; the test asks only whether
        line["error"] = type(error).__name__
    return line


def expressions():
    """EXPRESSIONS has several on a line, parted by ;; (one of them holds a line end after a backslash)."""
    for part in re.split(r" ;; |(?<!\\)\n", EXPRESSIONS.strip()):
        yield part


def main():
    env = environment()
    print(json.dumps({"variables": VARIABLES}, ensure_ascii=False))
    templates = ["{{ " + e + " }}" for e in expressions()] + STATEMENTS.strip("\n").split("\n") + LAYOUTS
    for template in dict.fromkeys(templates):
        print(json.dumps(case(env, template), ensure_ascii=False))
    print(len(templates), "templates", file=sys.stderr)


main()
