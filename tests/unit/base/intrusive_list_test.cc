#include "core/base/intrusive_list.h"

#include <memory>
#include <string>

#include <CppUTest/TestHarness.h>

namespace mqloop {

namespace {

struct OtherTag;

struct Element : ListNode<>, ListNode<OtherTag> {
  explicit Element(char letter) : name(letter) {}
  char name;
};

template <typename Tag>
std::string names(IntrusiveList<Element, Tag>& list) {
  std::string text;
  for (const Element& element : list) text += element.name;
  return text;
}

}  // namespace

TEST_GROUP(IntrusiveList) {
  Element a{'a'}, b{'b'}, c{'c'};
  IntrusiveList<Element> list;
};

TEST(IntrusiveList, is_empty_at_first) {
  CHECK(list.empty());
  POINTERS_EQUAL(nullptr, list.pop_front());
}

TEST(IntrusiveList, keeps_the_order_of_pushes) {
  list.push_back(b);
  list.push_back(c);
  list.push_front(a);
  STRCMP_EQUAL("abc", names(list).c_str());
  CHECK_EQUAL('a', list.front().name);
  CHECK_EQUAL('c', list.back().name);
  POINTERS_EQUAL(&a, list.pop_front());
  STRCMP_EQUAL("bc", names(list).c_str());
}

TEST(IntrusiveList, inserts_before_a_position) {
  list.push_back(a);
  list.push_back(c);
  list.insert(++list.begin(), b);
  STRCMP_EQUAL("abc", names(list).c_str());
}

TEST(IntrusiveList, an_element_that_is_destroyed_leaves_it) {
  list.push_back(a);
  {
    Element passing('x');
    list.push_back(passing);
    list.push_back(b);
    STRCMP_EQUAL("axb", names(list).c_str());
  }
  STRCMP_EQUAL("ab", names(list).c_str());
}

TEST(IntrusiveList, a_list_that_is_destroyed_lets_its_elements_go) {
  {
    IntrusiveList<Element> passing;
    passing.push_back(a);
    CHECK(passing.contains(a));
  }
  CHECK(!list.contains(a));
  list.push_back(a);
  STRCMP_EQUAL("a", names(list).c_str());
}

TEST(IntrusiveList, an_element_may_be_erased_while_iterating) {
  list.push_back(a);
  list.push_back(b);
  list.push_back(c);
  for (auto at = list.begin(); at != list.end();) {
    Element& element = *at++;
    if (element.name != 'b') list.erase(element);
  }
  STRCMP_EQUAL("b", names(list).c_str());
}

TEST(IntrusiveList, an_element_is_in_one_list_of_each_tag) {
  IntrusiveList<Element, OtherTag> other;
  list.push_back(a);
  other.push_back(b);
  other.push_back(a);
  STRCMP_EQUAL("a", names(list).c_str());
  STRCMP_EQUAL("ba", names(other).c_str());
  other.erase(a);
  STRCMP_EQUAL("a", names(list).c_str());
  STRCMP_EQUAL("b", names(other).c_str());
}

TEST(IntrusiveList, splice_moves_all_and_keeps_both_orders) {
  IntrusiveList<Element> more;
  list.push_back(a);
  more.push_back(b);
  more.push_back(c);
  list.splice_back(more);
  CHECK(more.empty());
  STRCMP_EQUAL("abc", names(list).c_str());
  list.splice_back(more);
  STRCMP_EQUAL("abc", names(list).c_str());
  more.splice_back(list);
  CHECK(list.empty());
  STRCMP_EQUAL("abc", names(more).c_str());
  CHECK_EQUAL('c', (--more.end())->name);
}

}  // namespace mqloop
