"""Which filters match which topics: one row, one exchange. Topics and filters stand under a level of their own."""
import wire
from exchange.dsl import exchange

# (filter, topics it matches, topics it does not match); @ is the conversation's own first level
ROWS = {
    'literal': ('@/a', ['@/a'], ['@/b', '@/A', '@/a/', '@', '@/a/b', '/@/a']),
    'case_counts': ('@/Aa', ['@/Aa'], ['@/aa', '@/AA']),
    'leading_slash_counts': ('/@/a', ['/@/a'], ['@/a', '//@/a']),
    'trailing_slash_counts': ('@/a/', ['@/a/'], ['@/a', '@/a//']),
    'empty_levels_count': ('@//a', ['@//a'], ['@/a', '@///a']),
    'space_is_a_character': ('@/a b', ['@/a b'], ['@/ab', '@/a']),
    'no_normalization': ('@/\u00e9', ['@/\u00e9'], ['@/e\u0301', '@/e']),
    'hash_matches_all_below': ('@/a/#', ['@/a/b', '@/a/b/c', '@/a/', '@/a//'], ['@/b', '@/ab', '@']),
    'hash_matches_its_parent': ('@/a/#', ['@/a'], ['@/aa']),
    'hash_matches_dollar_below': ('@/#', ['@/$x', '@/$SYS/y'], []),
    'plus_is_one_level': ('@/+', ['@/a', '@/'], ['@', '@/a/b', '@/a/']),
    'plus_in_the_middle': ('@/+/c', ['@/a/c', '@//c'], ['@/c', '@/a/b/c', '@/a/d']),
    'plus_twice': ('@/+/+', ['@/a/b', '@//', '@/a/'], ['@/a', '@/a/b/c']),
    'plus_then_hash': ('@/+/#', ['@/a', '@/a/b', '@//', '@/'], ['@']),
    'plus_first': ('+/@/a', ['x/@/a', '/@/a'], ['@/a', 'x/y/@/a']),
    'plus_first_does_not_match_dollar': ('+/@', ['x/@'], ['$x/@', '$SYSTEM/@']),
    'dollar_literal': ('$x/@', ['$x/@'], ['x/@', '$y/@']),
    'dollar_literal_then_plus': ('$x/@/+', ['$x/@/a'], ['$x/@']),
    'dollar_literal_then_hash': ('$x/@/#', ['$x/@/a', '$x/@'], ['$x/a']),
    'dollar_inside_is_nothing_special': ('@/+/a', ['@/$x/a'], []),
    'many_levels': ('@/' + '/'.join(['+'] * 40), ['@/' + '/'.join('abcdefghij' * 4)], ['@/' + '/'.join('abcdefghij')]),
    'long_levels': ('@/' + 'l' * 5000, ['@/' + 'l' * 5000], ['@/' + 'l' * 4999, '@/' + 'l' * 5001]),
    'four_byte_characters': ('@/😀/+', ['@/😀/a'], ['@/😁/a']),
}
# Filters that hear every topic: they need the broker for themselves.
WIDE_ROWS = {
    'hash_alone_matches_everything': ('#', ['@', '@/a', '/@', '/'], []),
    'hash_alone_does_not_match_dollar': ('#', [], ['$x', '$x/@', '$SYSTEM']),
    'plus_alone': ('+', ['@'], ['@/a', '/@', '$x']),
    'plus_slash_plus': ('+/+', ['@/a', '/@', '@/'], ['@', '@/a/b', '$x/a']),
    'slash_plus': ('/+', ['/@'], ['@', '@/a']),
    'slash_hash': ('/#', ['/', '/@', '/@/a'], ['@', '@/a']),
    'plus_hash': ('+/#', ['@', '@/a', '/'], ['$x', '$x/a']),
}


def row(filter_, matches, others):
    def write(t):
        own = t.topic('').rstrip('/')
        marker = t.topic('marker')
        subscriber = t.client('s').connects().subscribes((filter_.replace('@', own), 0))
        if '@' not in filter_:  # it hears a marker of the right shape without being asked
            marker = f'/{own}' if filter_.startswith('/') else own if filter_ == '+' else marker
        else:
            subscriber.subscribes((marker, 0))
        publisher = t.client('p').connects()
        for topic in others + matches:
            publisher.publishes(topic.replace('@', own), b'x')
        for topic in matches:
            subscriber.receives(topic.replace('@', own), b'x')
        subscriber.markers(publisher, marker)

    write.__module__ = __name__
    return write


for wide, rows in ((False, ROWS), (True, WIDE_ROWS)):
    for name, (one, yes, no) in rows.items():
        function = row(one, yes, no)
        function.__name__ = name
        exchange(
            both='MQTT-4.7.2-1'
            if 'dollar' in name
            else 'MQTT-4.7.3-4'
            if '+' not in one and '#' not in one
            else 'MQTT-3.3.2-3',
            alone=wide,
        )(function)


@exchange(both='MQTT-4.7.2-1', alone=True)
def hash_does_not_hear_the_servers_own_topics(t):
    a = t.client('a').connects().subscribes(('#', 0), ('+/#', 0), ('+/broker/#', 0)).hears_nothing(0.3)
    a.sends(wire.publish(t.version, t.topic(), b'x')).receives(t.topic(), b'x').pings()
